//! A server whose program is killed has two seconds to end by itself, and is then killed.

use std::{fs, net::TcpStream, path::Path, time::Duration};

use super::{assert_nothing_left, program, wait_for_start};
use crate::support::{Fixture, blocking_until, is_alive, ms, now, signal, since};
use rustix::process::Signal;

/// The promise is three seconds; the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(6);

/// Kills a program and waits until its server has ended. Returns how long that took.
fn kill_program_of(fixture: &Fixture) -> Duration {
    let mut program = program(fixture, "wait");
    let (_, group) = wait_for_start(fixture);
    let begun = now();
    program.kill().unwrap();
    program.wait().unwrap();
    assert_nothing_left(fixture, group);
    // A process of several threads looks dead while the last of them still has its sockets.
    let is_free = || TcpStream::connect(("127.0.0.1", fixture.port())).is_err();
    assert!(blocking_until(is_free), "the port is not free");
    since(begun)
}

#[test]
fn a_killed_program_leaves_no_file_in_memory_that_its_server_removes_at_term() {
    let folder = if Path::new("/dev/shm").is_dir() {
        "/dev/shm"
    } else {
        "/tmp"
    };
    for drain in [0, 700] {
        let fixture = Fixture::new();
        let file = format!("{folder}/local-service-test-{}-{drain}", std::process::id());
        let fixture = fixture
            .with("--term-removes", &file)
            .with("--term-delay", drain);
        let took = kill_program_of(&fixture);
        let is_left = fs::remove_file(&file).is_ok();
        assert!(!is_left, "{file} is left after {took:?}");
        assert!(took < SOON && took >= ms(drain), "{took:?}");
    }
}

#[test]
fn a_server_that_needs_longer_than_the_grace_is_killed() {
    let fixture = Fixture::new().with("--term-delay", 60_000);
    let took = kill_program_of(&fixture);
    assert!(took < SOON && took > ms(1_500), "{took:?}");
}

#[test]
fn a_server_that_left_the_group_ends_with_its_killed_program() {
    let fixture = Fixture::new()
        .flag("--setsid-grandchild")
        .flag("--grandchild-clears-env");
    let mut program = program(&fixture, "wait");
    wait_for_start(&fixture);
    let grandchildren = fixture.grandchildren();
    assert!(!grandchildren.is_empty() && grandchildren.iter().all(|pid| is_alive(*pid)));
    signal(program.id(), Signal::KILL);
    program.wait().unwrap();
    assert!(
        blocking_until(|| !grandchildren.iter().any(|pid| is_alive(*pid))),
        "a descendant outlives the program"
    );
    assert!(blocking_until(|| fixture.alive().is_empty()));
}
