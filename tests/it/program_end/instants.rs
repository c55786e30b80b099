//! Kills the program at random instants.

use std::{
    hash::{BuildHasher as _, RandomState},
    thread,
    time::Duration,
};

use super::{assert_nothing_left, family, program, wait_for_start};
use crate::support::{Fixture, amount, blocking_until, ms};

fn rounds() -> usize {
    amount("PROGRAM_ENDS", 8)
}

/// A random part of the time.
fn some_of(time: Duration) -> Duration {
    let random = RandomState::new().hash_one(time);
    Duration::from_micros(random % u64::try_from(time.as_micros()).expect("short"))
}

#[test]
fn a_program_that_is_killed_at_any_instant_of_the_start_leaves_nothing() {
    let mut started = 0;
    // The instants become later until some come after the spawn, however slow the machine is.
    let mut reach = ms(60);
    for round in 0.. {
        if round >= rounds() && started > 0 {
            break;
        }
        let fixture = family().with("--delay-bind", 30);
        let mut program = program(&fixture, "wait");
        let instant = some_of(reach);
        thread::sleep(instant);
        program.kill().unwrap();
        program.wait().unwrap();
        let is_gone = blocking_until(|| fixture.alive().is_empty());
        assert!(is_gone, "after {instant:?}: {:?}", fixture.alive());
        // A server that was just being started may say so only now, and ends as well.
        thread::sleep(ms(30));
        let is_gone = blocking_until(|| fixture.alive().is_empty());
        assert!(is_gone, "after {instant:?}: {:?}", fixture.alive());
        if fixture.starts().is_empty() {
            reach = (reach * 5 / 4).min(Duration::from_secs(2));
        }
        started += fixture.starts().len();
    }
}

#[test]
fn a_program_that_is_killed_at_any_instant_of_its_use_leaves_nothing() {
    for _ in 0..rounds() {
        let fixture = family();
        let mut program = program(&fixture, "use");
        let (_, group) = wait_for_start(&fixture);
        thread::sleep(some_of(ms(30)));
        program.kill().unwrap();
        program.wait().unwrap();
        assert_nothing_left(&fixture, group);
    }
}

#[test]
fn a_program_that_is_killed_at_any_instant_of_a_stop_leaves_nothing() {
    for _ in 0..rounds() {
        let fixture = Fixture::new()
            .notes_signals()
            .with("--term-delay", 30)
            .flag("--fork-grandchild");
        let mut program = program(&fixture, "stop");
        assert!(blocking_until(|| !fixture.terms().is_empty()));
        let instant = some_of(ms(50));
        thread::sleep(instant);
        program.kill().unwrap();
        program.wait().unwrap();
        let is_gone = blocking_until(|| fixture.alive().is_empty());
        assert!(is_gone, "after {instant:?}: {:?}", fixture.alive());
    }
}
