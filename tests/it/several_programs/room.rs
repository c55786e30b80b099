//! Programs whose servers do not fit on the machine together, each on an address of its own.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

use rustix::process::Signal;

use super::program::{Program, Setup};
use crate::support::{Fixture, blocking_until, is_alive, ms, now, signal, since};

/// A server that needs three quarters of what there is. The files are those of the first one.
fn setup<'a>(server: &'a Fixture, first: &Fixture) -> Setup<'a> {
    Setup {
        needs: 18,
        ..Setup::beside(server, first)
    }
}

fn is_running(server: &Fixture) -> bool {
    server.starts().iter().any(|pid| is_alive(*pid))
}

#[test]
fn a_server_makes_way_for_that_of_another_program_and_comes_back() {
    let (chat, coder) = (Fixture::new(), Fixture::new());
    let mut one = setup(&chat, &chat).run();
    let mut other = setup(&coder, &chat).run();
    for round in 0..3 {
        assert_eq!(one.does("ask 2"), chat.starts()[round].to_string());
        assert!(!is_running(&coder));
        assert_eq!(other.does("ask 2"), coder.starts()[round].to_string());
        assert!(!is_running(&chat));
    }
}

#[test]
fn a_lease_in_another_program_is_waited_for_and_the_error_names_it() {
    let (chat, coder) = (Fixture::new().notes_signals(), Fixture::new());
    let mut one = setup(&chat, &chat).run();
    let setup = Setup {
        swap_timeout: ms(3000),
        ..setup(&coder, &chat)
    };
    let mut other = setup.run();
    assert_eq!(one.does("hold"), "done");
    let refused = other.does("ask 1");
    let holder = format!("`shared (process {})`", one.pid());
    assert!(
        refused.contains("gpu0") && refused.contains(&holder),
        "{refused}"
    );
    // The waiting request has gone, so the server serves on.
    assert_eq!(one.does("ask 1"), chat.starts()[0].to_string());
    assert!(chat.terms().is_empty() && coder.starts().is_empty());

    other.begin("ask 1");
    thread::sleep(ms(200));
    assert_eq!(one.does("let-go"), "done");
    assert_eq!(other.answer(), coder.starts()[0].to_string());
}

#[test]
fn what_fits_beside_it_starts_at_once() {
    let (chat, small) = (Fixture::new(), Fixture::new());
    let mut one = setup(&chat, &chat).run();
    let setup = Setup {
        needs: 6,
        ..setup(&small, &chat)
    };
    let mut other = setup.run();
    assert_eq!(one.does("hold"), "done");
    assert_eq!(other.does("ask 1"), small.starts()[0].to_string());
    assert!(is_running(&chat));
}

#[test]
fn six_programs_with_three_servers_are_all_served_and_no_two_run_at_once() {
    let servers = [(); 3].map(|()| Fixture::new().with("--delay-bind", 30));
    let mut programs: Vec<Program> = (0..6)
        .map(|at| setup(&servers[at % 3], &servers[0]).run())
        .collect();
    let (over, is_over) = mpsc::channel::<()>();
    let together = thread::scope(|scope| {
        // A failed assertion drops it, too: the sampling thread ends, and the failure is seen.
        let over = over;
        let servers = &servers;
        let sampled = scope.spawn(move || {
            let mut most = 0;
            while is_over.recv_timeout(ms(1)) == Err(RecvTimeoutError::Timeout) {
                most = most.max(servers.iter().filter(|it| is_running(it)).count());
            }
            most
        });
        for round in 0..3 {
            for program in &mut programs {
                program.begin("ask 3");
            }
            for (at, program) in programs.iter_mut().enumerate() {
                let answer = program.answer();
                let starts = servers[at % 3].starts();
                // More than one, if the server made way between two of the three requests.
                let is_start = |pid: &str| starts.iter().any(|start| pid == start.to_string());
                assert!(
                    answer.split(' ').all(is_start),
                    "round {round}, program {at}: {answer}"
                );
            }
        }
        drop(over);
        sampled.join().unwrap()
    });
    assert_eq!(together, 1);
}

#[test]
fn when_a_program_is_killed_its_room_is_free_once_its_server_has_ended() {
    // Its watchdog has to kill it, which takes two seconds.
    let (chat, coder) = (Fixture::new().flag("--ignore-term"), Fixture::new());
    let mut holder = setup(&chat, &chat).run();
    let mut waiting = setup(&coder, &chat).run();
    assert_eq!(holder.does("hold"), "done");
    waiting.begin("ask 1");
    thread::sleep(ms(200));
    holder.kill();
    assert!(blocking_until(|| !coder.starts().is_empty()));
    assert!(!is_running(&chat), "the servers of both ran at once");
    assert_eq!(waiting.answer(), coder.starts()[0].to_string());
}

#[test]
fn a_program_that_comes_after_one_that_was_killed_waits_for_the_room_of_its_server() {
    let (chat, coder) = (Fixture::new().flag("--ignore-term"), Fixture::new());
    let mut holder = setup(&chat, &chat).run();
    assert_eq!(holder.does("ask 1"), chat.starts()[0].to_string());
    holder.kill();
    let mut next = setup(&coder, &chat).run();
    assert_eq!(next.does("ask 1"), coder.starts()[0].to_string());
    assert!(!is_running(&chat), "the servers of both ran at once");
    // And its own server leaves nothing behind.
    let mut last = setup(&chat, &chat).run();
    assert_eq!(last.does("ask 1"), chat.starts()[1].to_string());
}

#[test]
fn a_program_that_is_killed_while_it_waits_keeps_no_other_waiting() {
    let servers = [(); 3].map(|()| Fixture::new());
    let [mut holder, mut killed, mut other] =
        [0, 1, 2].map(|at| setup(&servers[at], &servers[0]).run());
    assert_eq!(holder.does("hold"), "done");
    killed.begin("ask 1");
    thread::sleep(ms(200));
    other.begin("ask 1");
    thread::sleep(ms(200));
    killed.kill();
    assert_eq!(holder.does("let-go"), "done");
    assert_eq!(other.answer(), servers[2].starts()[0].to_string());
    assert!(servers[1].starts().is_empty());
}

#[test]
fn a_program_that_is_suspended_while_it_waits_keeps_no_other_waiting() {
    let servers = [(); 3].map(|()| Fixture::new());
    let [mut holder, mut suspended, mut other] =
        [0, 1, 2].map(|at| setup(&servers[at], &servers[0]).run());
    assert_eq!(holder.does("hold"), "done");
    suspended.begin("ask 1");
    thread::sleep(ms(200));
    suspended.suspend(servers[0].folder());
    other.begin("ask 1");
    assert_eq!(holder.does("let-go"), "done");
    assert_eq!(other.answer(), servers[2].starts()[0].to_string());
    signal(suspended.pid(), Signal::CONT);
    assert_eq!(suspended.answer(), servers[1].starts()[0].to_string());
}

#[test]
fn a_holder_that_is_suspended_is_waited_for_until_the_swap_timeout() {
    let (chat, coder) = (Fixture::new(), Fixture::new());
    let mut holder = setup(&chat, &chat).run();
    let setup = Setup {
        swap_timeout: ms(3000),
        ..setup(&coder, &chat)
    };
    let mut waiting = setup.run();
    assert_eq!(holder.does("ask 1"), chat.starts()[0].to_string());
    holder.suspend(chat.folder());
    let begun = now();
    let refused = waiting.does("ask 1");
    assert!(refused.contains("gpu0"), "{refused}");
    assert!(since(begun) >= ms(3000) && coder.starts().is_empty());
    signal(holder.pid(), Signal::CONT);
    assert_eq!(waiting.does("ask 1"), coder.starts()[0].to_string());
    assert!(blocking_until(|| !is_running(&chat)));
}

#[test]
fn a_program_that_is_suspended_or_killed_while_it_decides_keeps_no_other_waiting_for_ever() {
    let servers = [(); 2].map(|()| Fixture::new());
    let [mut deciding, mut waiting] = [0, 1].map(|at| setup(&servers[at], &servers[0]).run());
    assert_eq!(deciding.does("ask 1"), servers[0].starts()[0].to_string());
    assert_eq!(deciding.does("decide"), "done");
    signal(deciding.pid(), Signal::STOP);
    waiting.begin("ask 1");
    thread::sleep(ms(500));
    assert!(servers[1].starts().is_empty());
    deciding.kill();
    assert_eq!(waiting.answer(), servers[1].starts()[0].to_string());
}
