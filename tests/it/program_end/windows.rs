//! The ways in which a program can end on Windows, where a job ends its servers.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tower_local_service::{LocalServiceConfig, Registry};

use super::{family, program, wait_for_server};
use crate::support::{Fixture, PROGRAM, block_on, blocking_until, is_alive, now, since};

#[test]
fn a_program_that_ends_in_any_way_leaves_nothing() {
    for end in ["exit", "abort", "leak", "static", "panic"] {
        let fixture = family();
        let mut program = program(&fixture, end);
        let status = program.wait().unwrap();
        assert_eq!(fixture.starts().len(), 1, "{end}: {status}");
        assert_eq!(fixture.grandchildren().len(), 1, "{end}: {status}");
        let is_gone = blocking_until(|| fixture.alive().is_empty());
        assert!(is_gone, "{end}: {:?}", fixture.alive());
    }
}

#[test]
fn a_program_that_is_killed_leaves_nothing() {
    let fixture = family();
    let mut program = program(&fixture, "wait");
    let server = wait_for_server(&fixture);
    let grandchild = fixture.grandchildren()[0];
    assert!(blocking_until(|| is_alive(server) && is_alive(grandchild)));
    let begun = now();
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(blocking_until(|| fixture.alive().is_empty()));
    assert!(since(begun) < Duration::from_secs(10));
}

const COUNT: usize = 50;
/// The base URL of each server and its arguments, between tabs, one server a line.
const SERVERS: &str = "LOCAL_SERVICE_TEST_JOBS";

#[test]
#[ignore = "plays the program that is killed, for the test below"]
fn plays_a_program_with_fifty_servers() {
    let servers = std::env::var(SERVERS).expect("a test runs it");
    let registry = Registry::new();
    let leases: Vec<_> = servers
        .lines()
        .map(|server| {
            let mut parts = server.split('\t');
            let url = parts.next().expect("a base URL");
            let config = LocalServiceConfig::new(PROGRAM)
                .args(parts)
                .ready_timeout(Duration::from_secs(60));
            let service = registry.service(url, url, config).unwrap();
            thread::spawn(move || block_on(service.acquire()).unwrap())
        })
        .collect();
    let leases: Vec<_> = leases.into_iter().map(|it| it.join().unwrap()).collect();
    assert_eq!(leases.len(), COUNT);
    loop {
        thread::park();
    }
}

#[test]
fn of_fifty_servers_of_a_program_that_is_killed_none_is_left() {
    let fixtures: Vec<_> = (0..COUNT).map(|_| Fixture::new()).collect();
    let line = |it: &Fixture| format!("{}\t{}", it.base_url(), it.args().join("\t"));
    let lines: Vec<_> = fixtures.iter().map(line).collect();
    let mut program = Command::new(std::env::current_exe().expect("this program"));
    program.args([
        "--ignored",
        "--exact",
        "program_end::windows::plays_a_program_with_fifty_servers",
    ]);
    program.env(SERVERS, lines.join("\n")).stdin(Stdio::null());
    program.stdout(Stdio::null()).stderr(Stdio::null());
    let mut program = program.spawn().expect("a program");
    for fixture in &fixtures {
        let server = wait_for_server(fixture);
        assert!(blocking_until(|| is_alive(server)));
    }
    program.kill().unwrap();
    program.wait().unwrap();
    let left = || fixtures.iter().map(|it| it.alive().len()).sum::<usize>();
    assert!(blocking_until(|| left() == 0), "{} are left", left());
}
