//! What your program inherits from its parent, and a server from your program: ignored signals and open
//! descriptors.

use std::fs;

use tower_local_service::{ErrorKind, Phase};
use tracing::dispatcher;

use crate::support::{
    Events, Fixture, Pid, alone, block_on, blocking_until, can, children_of, group_of, ignores,
    kill, members_of, ms, now, since,
};

/// Plays a program whose parent ignored that signal.
fn alone_ignoring(signal: &str, test: &str) {
    let signal = format!("--ignore-signal={signal}");
    if can(&["env", &signal, "true"]) {
        alone(&["env", &signal], test);
    }
}

#[test]
#[ignore = "run by the test below, with SIGCHLD ignored"]
fn plays_a_program_that_ignores_sigchld() {
    assert!(ignores(rustix::process::Signal::CHILD));
    let fixture = Fixture::new().flag("--fork-grandchild");
    let service = fixture.service("ignored");
    drop(block_on(service.acquire()).unwrap());
    let server = fixture.starts()[0];
    let group = group_of(server).unwrap();

    // The server dies, and the next request is served.
    kill(server);
    assert!(blocking_until(|| service.status().pid != Some(server)));
    assert!(blocking_until(|| members_of(group).is_empty()));
    assert!(blocking_until(|| block_on(service.acquire()).is_ok()));
    let successor = group_of(*fixture.starts().last().unwrap()).unwrap();
    block_on(service.stop()).unwrap();
    assert_eq!(service.status().phase, Phase::Stopped);
    assert!(members_of(successor).is_empty());

    let broken = Fixture::new().flag("--exit-at-start");
    let error = block_on(broken.service("broken").acquire()).unwrap_err();
    // The exit code is lost, unless tokio has installed a handler for SIGCHLD meanwhile.
    assert!(matches!(error.kind(), ErrorKind::Exited { .. }), "{error}");
    assert!(children_of(std::process::id()).is_empty());
}

#[test]
fn a_program_that_ignores_sigchld_starts_and_stops_servers() {
    alone_ignoring("CHLD", "inherited::plays_a_program_that_ignores_sigchld");
}

#[test]
#[ignore = "run by the test below, with SIGTERM ignored"]
fn plays_a_program_that_ignores_sigterm() {
    assert!(ignores(rustix::process::Signal::TERM));
    let events = Events::new();
    let _listening = dispatcher::set_default(&events.dispatch());
    for _ in 0..2 {
        let fixture = Fixture::new();
        let config = fixture.config().stop_timeout(ms(300));
        let service = fixture.configured("deaf", config);
        block_on(service.start()).unwrap();
        let begun = now();
        block_on(service.stop()).unwrap();
        assert!(since(begun) >= ms(300), "it ended on TERM");
        assert!(fixture.alive().is_empty());
    }
    let seen = events.seen();
    let told = seen
        .iter()
        .filter(|it| it.fields.contains("SIGTERM is blocked or ignored"));
    assert_eq!(told.count(), 1, "{seen:?}");
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[test]
fn a_server_that_inherits_an_ignored_sigterm_is_killed_with_one_warning() {
    alone_ignoring("TERM", "inherited::plays_a_program_that_ignores_sigterm");
}

/// The open descriptors of a process, by number.
fn open_in(pid: Pid) -> Vec<(u32, String)> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let open = entries.filter_map(|entry| {
        let number = entry.file_name().to_str()?.parse().ok()?;
        Some((
            number,
            fs::read_link(entry.path()).ok()?.display().to_string(),
        ))
    });
    open.collect()
}

/// Whether a descriptor of this process is closed on exec. Those that are not come from its parent.
fn is_closed_on_exec(descriptor: u32) -> bool {
    const CLOEXEC: u32 = 0o2_000_000;

    let info = fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")).unwrap_or_default();
    let flags = info.lines().find_map(|it| it.strip_prefix("flags:"));
    flags.is_some_and(|flags| u32::from_str_radix(flags.trim(), 8).unwrap() & CLOEXEC != 0)
}

#[tokio::test]
async fn a_server_inherits_no_descriptor_of_your_program() {
    // This program has another server with its pipes, a runtime and connections.
    let (other, fixture) = (Fixture::new(), Fixture::new());
    let _other = other.service("other").acquire().await.unwrap();
    let _lease = fixture.service("clean").acquire().await.unwrap();
    let server = open_in(fixture.starts()[0]);
    let what = |number: u32| server.iter().find(|it| it.0 == number).unwrap().1.as_str();
    assert_eq!(what(0), "/dev/null");
    assert!(what(1).starts_with("pipe:") && what(2).starts_with("pipe:"));

    let of_program: Vec<_> = open_in(std::process::id())
        .into_iter()
        .filter(|(number, what)| what.contains(":[") && is_closed_on_exec(*number))
        .collect();
    assert!(of_program.len() >= 6, "pipes and sockets: {of_program:?}");
    let beyond = server.iter().filter(|(number, _)| *number > 2);
    let leaked: Vec<_> = beyond
        .filter(|(_, what)| of_program.iter().any(|it| it.1 == *what))
        .collect();
    assert!(leaked.is_empty(), "{leaked:?}");
}
