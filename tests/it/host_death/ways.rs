//! Each way in which a host can end.

use std::{process::ExitStatus, time::Duration};

use rustix::process::Signal;

use super::{assert_nothing_left, family, host, wait_for_start};
use crate::support::{Fixture, blocking_until, ignores, is_alive, now, signal, since, stat};

#[test]
fn a_host_that_is_ended_by_a_signal_leaves_nothing() {
    let all = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];
    // A shell lets what it runs in the background ignore SIGINT.
    for by in all.into_iter().filter(|by| !ignores(*by)) {
        let fixture = family();
        let mut host = host(&fixture, "wait");
        let (server, group) = wait_for_start(&fixture);
        assert!(is_alive(server));
        let begun = now();
        signal(host.id(), by);
        host.wait().unwrap();
        assert_nothing_left(&fixture, group);
        assert!(since(begun) < Duration::from_secs(10), "{by:?}");
    }
}

#[test]
fn a_host_that_ends_in_any_other_way_leaves_nothing() {
    for end in ["exit", "abort", "exec", "leak", "static", "panic"] {
        // The group can only be seen while it lives, so the host waits for nothing but a probe.
        let fixture = family();
        let mut host = host(&fixture, end);
        let status: ExitStatus = host.wait().unwrap();
        assert_eq!(fixture.starts().len(), 1, "{end}: {status}");
        assert!(
            blocking_until(|| fixture.alive().is_empty()),
            "{end}: {:?}",
            fixture.alive()
        );
    }
}

#[test]
fn a_server_that_does_not_run_at_the_moment_ends_with_its_host_too() {
    let fixture = Fixture::new();
    let mut host = host(&fixture, "wait");
    let (server, group) = wait_for_start(&fixture);
    signal(server, Signal::STOP);
    assert!(blocking_until(|| stat(server, 0).as_deref() == Some("T")));
    host.kill().unwrap();
    host.wait().unwrap();
    assert_nothing_left(&fixture, group);
}
