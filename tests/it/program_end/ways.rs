//! The ways in which a program can end.

use std::{process::ExitStatus, time::Duration};

use rustix::process::Signal;

use super::{assert_nothing_left, family, program, wait_for_start};
use crate::support::{
    Fixture, blocking_until, ignores, is_alive, is_suspended, now, signal, since,
};

#[test]
fn a_program_that_is_ended_by_a_signal_leaves_nothing() {
    let all = [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP];
    // A program that a shell runs in the background ignores SIGINT.
    for by in all.into_iter().filter(|by| !ignores(*by)) {
        let fixture = family();
        let mut program = program(&fixture, "wait");
        let (server, group) = wait_for_start(&fixture);
        assert!(is_alive(server));
        let begun = now();
        signal(program.id(), by);
        program.wait().unwrap();
        assert_nothing_left(&fixture, group);
        assert!(since(begun) < Duration::from_secs(10), "{by:?}");
    }
}

#[test]
fn a_program_that_ends_in_any_other_way_leaves_nothing() {
    for end in ["exit", "abort", "exec", "leak", "static", "panic"] {
        // The group is not looked for: it can be found only while the server runs.
        let fixture = family();
        let mut program = program(&fixture, end);
        let status: ExitStatus = program.wait().unwrap();
        assert_eq!(fixture.starts().len(), 1, "{end}: {status}");
        assert!(
            blocking_until(|| fixture.alive().is_empty()),
            "{end}: {:?}",
            fixture.alive()
        );
    }
}

#[test]
fn a_suspended_server_ends_with_its_program() {
    let fixture = Fixture::new();
    let mut program = program(&fixture, "wait");
    let (server, group) = wait_for_start(&fixture);
    signal(server, Signal::STOP);
    assert!(blocking_until(|| is_suspended(server)));
    program.kill().unwrap();
    program.wait().unwrap();
    assert_nothing_left(&fixture, group);
}
