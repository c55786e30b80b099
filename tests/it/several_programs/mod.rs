//! Several programs with a server on one address.

// Not on Windows: it suspends programs by signals.
#[cfg(unix)]
mod crashes;
mod fifty;
// Not on Windows: the folder is one of Unix, with its modes and links.
#[cfg(unix)]
mod folder;
pub(crate) mod program;
// Not on Windows: it suspends programs by signals.
#[cfg(unix)]
mod room;

use std::{fs, process::Command, thread};

use self::program::{Program, Setup};
use crate::support::{Fixture, blocking_until, is_alive, ms, now};

fn programs<const N: usize>(server: &Fixture) -> [Program; N] {
    let setup = Setup::of(server);
    std::array::from_fn(|_| setup.run())
}

fn log(server: &Fixture) -> String {
    fs::read_to_string(server.folder().join("program-log")).unwrap()
}

#[test]
fn of_eight_cold_programs_one_starts_the_server_and_all_are_served_by_it() {
    for round in 0..10 {
        let server = Fixture::new().with("--delay-bind", 100);
        let mut programs: [Program; 8] = programs(&server);
        for program in &mut programs {
            program.begin("ask 50");
        }
        let answers = programs.each_mut().map(Program::answer);
        let [started] = server.starts()[..] else {
            panic!("round {round}: {:?}\n{}", server.starts(), log(&server));
        };
        let expected = started.to_string();
        assert!(
            answers.iter().all(|answer| *answer == expected),
            "round {round}: {answers:?}\n{}",
            log(&server)
        );
    }
}

#[test]
fn programs_that_choose_a_port_by_the_same_configuration_share_one_server() {
    let server = Fixture::new();
    let setup = Setup {
        chooses_port: true,
        ..Setup::of(&server)
    };
    // The later ones find the port taken: by the server of a peer.
    let mut programs = [setup.run(), setup.run()];
    let mut answers = programs
        .each_mut()
        .map(|program| program.does("ask 3"))
        .to_vec();
    let mut late = setup.run();
    answers.push(late.does("ask 3"));
    let pid = server.starts()[0].to_string();
    assert_eq!(answers, [pid.clone(), pid.clone(), pid]);
    assert_eq!(server.starts().len(), 1);
    assert_eq!(late.does("ownership"), "external");
}

#[test]
fn a_service_that_meets_another_one_on_its_chosen_port_takes_turns_and_warns_once() {
    let server = Fixture::new();
    let setup = Setup {
        chooses_port: true,
        ..Setup::of(&server)
    };
    let mut chooser = setup.run();
    let port = chooser.does("port").parse().unwrap();
    let other = Fixture::on(port);
    let mut rival = Setup::beside(&other, &server).run();
    for round in 0..2 {
        assert_eq!(rival.does("ask 1"), other.starts()[round].to_string());
        assert_eq!(chooser.does("ask 1"), server.starts()[round].to_string());
    }
    let log = log(&server);
    let warnings = log.lines().filter(|line| line.contains("port_shared"));
    let [warning] = warnings.collect::<Vec<_>>()[..] else {
        panic!("{log}");
    };
    let holder = format!("of process {}", rival.pid());
    assert!(
        warning.contains("WARN") && warning.contains(&holder),
        "{warning}"
    );
    assert!(
        warning.contains("write a port in the place of"),
        "{warning}"
    );
}

#[test]
fn programs_that_come_one_after_the_other_use_the_server_of_the_first() {
    let server = Fixture::new();
    let mut programs: [Program; 3] = programs(&server);
    let answers = programs.each_mut().map(|program| program.does("ask 3"));
    let pid = server.starts()[0].to_string();
    assert_eq!(answers, [pid.clone(), pid.clone(), pid]);
    let ownerships = programs.each_mut().map(|program| program.does("ownership"));
    let expected = ["owned", "external", "external"];
    assert_eq!(ownerships, expected);
}

#[cfg_attr(windows, ignore = "a server that is ended by its job notes no signal")]
#[test]
fn the_idle_time_of_the_owner_begins_with_the_end_of_the_last_lease_of_all() {
    let server = Fixture::new().notes_signals();
    let setup = Setup {
        idle_stop: ms(500),
        ..Setup::of(&server)
    };
    let [mut owner, mut user] = [setup.run(), setup.run()];
    assert_eq!(owner.does("start"), "done");
    assert_eq!(user.does("hold"), "done");
    thread::sleep(ms(1500));
    assert!(server.terms().is_empty());
    let begun = now();
    assert_eq!(user.does("let-go"), "done");
    assert!(blocking_until(|| !server.terms().is_empty()));
    assert!(server.terms()[0] >= begun + ms(500));
}

#[cfg_attr(windows, ignore = "a server that is ended by its job notes no signal")]
#[test]
fn another_identity_in_another_program_swaps_when_all_leases_have_ended() {
    let server = Fixture::new().notes_signals();
    let other = Fixture::on(server.port());
    let [mut owner, mut user] = programs(&server);
    let mut rival = Setup::beside(&other, &server).run();
    assert_eq!(owner.does("start"), "done");
    assert_eq!(user.does("hold"), "done");
    rival.begin("ask 2");
    thread::sleep(ms(500));
    assert!(server.terms().is_empty(), "a lease is out");
    assert_eq!(user.does("let-go"), "done");
    let answer = rival.answer();
    assert_eq!(answer, other.starts()[0].to_string());
    assert!(!is_alive(server.starts()[0]));
    // And back again.
    let answer = user.does("ask 2");
    assert_eq!(answer, server.starts()[1].to_string());
}

#[test]
fn a_swap_between_programs_that_takes_too_long_says_who_has_the_address() {
    let server = Fixture::new();
    let other = Fixture::on(server.port());
    let mut owner = Setup::of(&server).run();
    let setup = Setup {
        swap_timeout: ms(300),
        ..Setup::beside(&other, &server)
    };
    let mut rival = setup.run();
    assert_eq!(owner.does("hold"), "done");
    let refused = rival.does("ask 1");
    let holder = format!("local service `shared` of process {}", owner.pid());
    assert!(refused.contains(&holder), "{refused}");
    assert_eq!(owner.does("ask 1"), server.starts()[0].to_string());
    assert!(other.starts().is_empty());
}

#[test]
fn while_another_program_has_the_address_the_status_says_so() {
    let server = Fixture::new();
    let other = Fixture::on(server.port());
    let mut owner = Setup::of(&server).run();
    let mut rival = Setup::beside(&other, &server).run();
    assert_eq!(owner.does("hold"), "done");
    assert_eq!(rival.does("waits"), "false");
    assert_eq!(rival.does("ask-later"), "done");
    let expected = format!(
        "the address localhost:{}, which local service `shared` of process {} has",
        server.port(),
        owner.pid()
    );
    assert_eq!(rival.does("waits-for"), expected);
    assert_eq!(owner.does("let-go"), "done");
    assert_eq!(rival.does("ask 1"), other.starts()[0].to_string());
    assert_eq!(rival.does("waits"), "false");
}

/// Of three programs, one starts the server, one waits to use it, and one needs the address for another server.
#[test]
fn a_rival_that_gets_the_address_of_a_dead_owner_is_waited_for_no_longer_than_a_swap() {
    let server = Fixture::new().with("--loading", 600_000);
    let other = Fixture::on(server.port());
    let mut owner = Setup::of(&server).run();
    owner.begin("ask 1");
    assert!(blocking_until(|| !server.starts().is_empty()));
    let mut rival = Setup::beside(&other, &server).run();
    rival.begin("hold");
    let setup = Setup {
        swap_timeout: ms(2000),
        ..Setup::of(&server)
    };
    let mut guest = setup.run();
    let begun = now();
    guest.begin("ask 1");
    // The rival is the next to get the address; the guest waits for the server of the owner.
    thread::sleep(ms(500));
    owner.kill();
    assert_eq!(rival.answer(), "done");
    let refused = guest.answer();
    let holder = format!("local service `shared` of process {}", rival.pid());
    assert!(refused.contains(&holder), "{refused}");
    assert!(now() < begun + ms(20_000));
    assert_eq!(server.starts().len(), 1);
}

#[test]
fn a_lease_of_the_owner_costs_no_system_call() {
    let may_trace = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .output();
    if !may_trace.is_ok_and(|traced| traced.status.success()) {
        // Not everywhere is there one, or the right to use it.
        return;
    }
    let server = Fixture::new();
    let trace = server.folder().join("trace");
    let mut owner = Setup::of(&server).run_traced(&trace);
    assert_eq!(owner.does("start"), "done");
    assert_eq!(owner.does("warm 1"), "warm 1");
    assert_eq!(owner.does("warm 10000"), "warm 10000");
    drop(owner);
    let trace = fs::read_to_string(trace).unwrap();
    let mut lines = trace.lines();
    let answer = lines.find(|line| line.contains("\"> warm 1\\n"));
    let (thread, _) = answer.and_then(|it| it.split_once(' ')).expect("an answer");
    let between: Vec<_> = lines
        .take_while(|line| !line.contains("\"> warm 10000\\n"))
        .filter(|line| line.split(' ').next() == Some(thread))
        .collect();
    // The order is read and the answer written; the supervisor is woken once by the first lease.
    assert!(between.len() < 100, "{between:?}");
}
