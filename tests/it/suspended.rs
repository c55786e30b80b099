//! A program that was suspended for a while, as on a laptop that sleeps.

use std::process::{Command, Stdio};

use crate::support::{Fixture, alone, block_on, is_alive, ms};

/// Suspends this process for that long.
fn sleep_through(seconds: &str) {
    let this = std::process::id();
    let script = format!("kill -STOP {this}; sleep {seconds}; kill -CONT {this}");
    let status = Command::new("/bin/sh")
        .args(["-c", &script])
        .stdin(Stdio::null())
        .status();
    assert!(status.unwrap().success());
}

#[test]
#[ignore = "run by the test below, in a process that can be stopped"]
fn plays_a_program_that_is_suspended() {
    let fixture = Fixture::new();
    let config = fixture.config().idle_stop(ms(500));
    let service = fixture.configured("slept", config);
    let lease = block_on(service.acquire()).unwrap();
    let before = fixture.requests().len();
    sleep_through("2");
    // Its idle time would be long over, if it had been idle.
    let server = fixture.starts()[0];
    assert!(is_alive(server), "a lease is out");
    drop(lease);
    drop(block_on(service.acquire()).unwrap());
    assert_eq!(
        fixture.starts(),
        [server],
        "and it is what the next one gets"
    );
    let probes = fixture.requests().len() - before;
    assert!(probes <= 2, "{probes} probes to make up for it");
}

#[test]
fn a_program_that_was_suspended_stops_nothing_in_use_and_sends_no_missed_probes() {
    alone(&[], "suspended::plays_a_program_that_is_suspended");
}
