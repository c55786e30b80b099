//! A program that is killed or suspended holds up no other.

use std::thread;

use rustix::process::Signal;

use super::{program::Setup, programs};
use crate::support::{Fixture, SEES_LISTENERS, blocking_until, ms, now, signal, since};

#[test]
fn a_user_that_is_killed_holds_up_no_stop() {
    let server = Fixture::new().notes_signals();
    let setup = Setup {
        idle_stop: ms(300),
        ..Setup::of(&server)
    };
    let [mut owner, mut killed] = [setup.run(), setup.run()];
    assert_eq!(owner.does("start"), "done");
    assert_eq!(killed.does("hold"), "done");
    thread::sleep(ms(600));
    assert!(server.terms().is_empty());
    killed.kill();
    assert!(blocking_until(|| !server.terms().is_empty()));
    assert!(blocking_until(|| server.alive().is_empty()));
}

#[test]
fn a_program_that_is_killed_while_it_waits_holds_up_no_other() {
    let server = Fixture::new().with("--delay-bind", 500);
    let [mut owner, mut waiting, mut other] = programs(&server);
    owner.begin("start");
    assert!(blocking_until(|| !server.starts().is_empty()));
    waiting.begin("hold");
    other.begin("ask 1");
    thread::sleep(ms(100));
    waiting.kill();
    assert_eq!(owner.answer(), "done");
    assert_eq!(other.answer(), server.starts()[0].to_string());
}

#[test]
fn when_the_owner_is_killed_one_of_the_others_takes_its_place() {
    let server = Fixture::new();
    let [mut owner, mut one, mut two] = programs(&server);
    let first = owner.does("ask 1");
    assert_eq!(one.does("ask 1"), first);
    assert_eq!(two.does("ask 1"), first);
    owner.kill();
    assert!(blocking_until(|| server.alive().is_empty()));
    // What is sent in the first second after a look at it may fail: its end is not reported.
    let answers = [&mut one, &mut two].map(|program| {
        let mut answer = String::new();
        let in_time = blocking_until(|| {
            answer = program.does("ask 4");
            !answer.starts_with("failed")
        });
        assert!(in_time, "{answer}");
        answer
    });
    let [_, second] = server.starts()[..] else {
        panic!("{:?}", server.starts());
    };
    assert_eq!(answers, [second.to_string(), second.to_string()]);
}

#[test]
fn an_owner_that_is_killed_during_the_start_is_followed_by_a_program_that_waits() {
    let server = Fixture::new().with("--delay-bind", 300);
    let [mut owner, mut one, mut two] = programs(&server);
    owner.begin("start");
    assert!(blocking_until(|| !server.starts().is_empty()));
    one.begin("ask 3");
    two.begin("ask 3");
    thread::sleep(ms(50));
    owner.kill();
    let answers = [one.answer(), two.answer()];
    let second = server.starts()[1].to_string();
    assert_eq!(answers, [second.clone(), second]);
    assert_eq!(server.starts().len(), 2);
}

#[test]
fn a_program_that_is_started_again_waits_until_nothing_is_left_of_the_last_server() {
    // Its watchdog has to kill it, which takes two seconds. It could still answer, and has the port.
    let server = Fixture::new().flag("--ignore-term");
    let setup = Setup::of(&server);
    let mut killed = setup.run();
    assert_eq!(killed.does("ask 1"), server.starts()[0].to_string());
    killed.kill();
    let mut again = setup.run();
    let answer = again.does("ask 3");
    assert_eq!(server.starts().len(), 2, "{answer}");
    assert_eq!(answer, server.starts()[1].to_string());
    assert_eq!(again.does("ownership"), "owned");
}

#[test]
fn an_owner_that_is_suspended_holds_up_no_user() {
    let server = Fixture::new();
    let [mut owner, mut user] = programs(&server);
    let first = owner.does("ask 1");
    owner.suspend(server.folder());
    let begun = now();
    assert_eq!(user.does("ask 5"), first);
    assert!(since(begun) < ms(5000), "{:?}", since(begun));
    signal(owner.pid(), Signal::CONT);
}

#[test]
fn whichever_program_is_killed_the_others_continue() {
    let server = Fixture::new().with("--delay-bind", 20);
    let other = Fixture::on(server.port()).with("--delay-bind", 20);
    let setups = [Setup::of(&server), Setup::beside(&other, &server)];
    let mut programs: Vec<_> = setups.iter().cycle().take(6).map(Setup::run).collect();
    for round in 0..6 {
        for program in &mut programs {
            program.begin("ask 2");
        }
        // Spread over what a start and a swap take.
        thread::sleep(ms(37 * round));
        let killed = (5 * usize::try_from(round).unwrap()) % programs.len();
        programs[killed].kill();
        programs[killed] = setups[killed % 2].run();
        programs[killed].begin("ask 2");
        for program in &mut programs {
            let answer = program.answer();
            // The server may have been that of the killed one; all other errors bear the name.
            // Where nobody can tell who listens, that server was taken for the new one for as long as it lived.
            let may_be_cut =
                !SEES_LISTENERS && answer.contains("while a request waited for its answer");
            let logs = setups.each_ref().map(Setup::log);
            assert!(
                !answer.contains("shared") || may_be_cut,
                "round {round}: {answer}\n{}",
                logs.concat()
            );
        }
    }
}
