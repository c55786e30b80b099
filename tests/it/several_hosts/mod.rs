//! Several host processes with a server on one endpoint.

mod host;

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    thread,
};

use rustix::process::Signal;

use self::host::{Host, Setup};
use crate::support::{Fixture, blocking_until, is_alive, ms, now, signal, since};

/// A part of the warning.
const UNUSABLE: &str = "cannot be used: several programs";

fn hosts<const N: usize>(server: &Fixture) -> [Host; N] {
    let setup = Setup::of(server);
    std::array::from_fn(|_| setup.run())
}

fn log(server: &Fixture) -> String {
    fs::read_to_string(server.folder().join("host-log")).unwrap()
}

#[test]
fn of_eight_cold_hosts_one_starts_the_server_and_all_are_served_by_it() {
    for round in 0..10 {
        let server = Fixture::new().with("--delay-bind", 100);
        let mut hosts: [Host; 8] = hosts(&server);
        for host in &mut hosts {
            host.begin("ask 50");
        }
        let answers = hosts.each_mut().map(Host::answer);
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
fn hosts_that_come_one_after_the_other_use_the_server_of_the_first() {
    let server = Fixture::new();
    let mut hosts: [Host; 3] = hosts(&server);
    let answers = hosts.each_mut().map(|host| host.does("ask 3"));
    let pid = server.starts()[0].to_string();
    assert_eq!(answers, [pid.clone(), pid.clone(), pid]);
    let origins = hosts.each_mut().map(|host| host.does("origin"));
    let expected = ["Some(Owned)", "Some(External)", "Some(External)"];
    assert_eq!(origins, expected);
}

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
fn a_host_that_is_killed_while_it_waits_holds_up_nobody() {
    let server = Fixture::new().with("--delay-bind", 500);
    let [mut owner, mut waiting, mut other] = hosts(&server);
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
    let [mut owner, mut one, mut two] = hosts(&server);
    let first = owner.does("ask 1");
    assert_eq!(one.does("ask 1"), first);
    assert_eq!(two.does("ask 1"), first);
    owner.kill();
    assert!(blocking_until(|| server.alive().is_empty()));
    // What is sent in the first second after a look at it may fail: nobody tells of its end.
    let answers = [&mut one, &mut two].map(|host| {
        let mut answer = String::new();
        let in_time = blocking_until(|| {
            answer = host.does("ask 4");
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
fn an_owner_that_is_killed_during_the_start_is_followed_by_who_waits() {
    let server = Fixture::new().with("--delay-bind", 300);
    let [mut owner, mut one, mut two] = hosts(&server);
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
fn an_owner_that_is_suspended_holds_up_no_user() {
    let server = Fixture::new();
    let [mut owner, mut user] = hosts(&server);
    let first = owner.does("ask 1");
    signal(owner.pid(), Signal::STOP);
    let begun = now();
    assert_eq!(user.does("ask 5"), first);
    assert!(since(begun) < ms(5000), "{:?}", since(begun));
    signal(owner.pid(), Signal::CONT);
}

#[test]
fn another_identity_in_another_host_swaps_when_all_leases_have_ended() {
    let server = Fixture::new().notes_signals();
    let other = Fixture::on(server.port());
    let [mut owner, mut user] = hosts(&server);
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
fn a_swap_between_hosts_that_takes_too_long_says_who_has_the_address() {
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
fn what_a_former_host_left_behind_is_no_hindrance() {
    let server = Fixture::new();
    let mut former = Setup::of(&server).run();
    assert_eq!(former.does("start"), "done");
    former.kill();
    assert!(blocking_until(|| server.alive().is_empty()));
    assert!(fs::read_dir(folder(&server)).unwrap().count() >= 3);

    let other = Fixture::on(server.port());
    let mut host = Setup::beside(&other, &server).run();
    assert_eq!(host.does("ask 1"), other.starts()[0].to_string());
    assert!(!log(&other).contains(UNUSABLE), "{}", log(&other));
}

#[test]
fn whoever_is_killed_the_others_go_on() {
    let server = Fixture::new().with("--delay-bind", 20);
    let other = Fixture::on(server.port()).with("--delay-bind", 20);
    let setups = [Setup::of(&server), Setup::beside(&other, &server)];
    let mut hosts: Vec<_> = setups.iter().cycle().take(6).map(Setup::run).collect();
    for round in 0..6 {
        for host in &mut hosts {
            host.begin("ask 2");
        }
        // Spread over what a start and a swap take.
        thread::sleep(ms(37 * round));
        let killed = (5 * usize::try_from(round).unwrap()) % hosts.len();
        hosts[killed].kill();
        hosts[killed] = setups[killed % 2].run();
        hosts[killed].begin("ask 2");
        for host in &mut hosts {
            let answer = host.answer();
            // The server may have been that of the killed one; all other errors bear the name.
            assert!(!answer.contains("shared"), "round {round}: {answer}");
        }
    }
}

fn folder(server: &Fixture) -> PathBuf {
    server.folder().join("tower-local-service")
}

/// The next host warns, and works as if it were alone.
fn assert_warns_and_works(server: &Fixture) {
    let mut host = Setup::of(server).run();
    let answer = host.does("ask 2");
    let last = server.starts().last().map(ToString::to_string);
    assert_eq!(Some(answer), last);
    let log = log(server);
    assert_eq!(log.matches(UNUSABLE).count(), 1, "{log}");
}

#[test]
fn a_folder_that_cannot_be_made_is_warned_of() {
    let server = Fixture::new();
    fs::write(folder(&server), "in its place").unwrap();
    assert_warns_and_works(&server);
}

#[test]
fn a_folder_that_others_can_write_to_is_warned_of() {
    let server = Fixture::new();
    fs::create_dir(folder(&server)).unwrap();
    fs::set_permissions(folder(&server), fs::Permissions::from_mode(0o777)).unwrap();
    assert_warns_and_works(&server);
}

#[test]
fn a_lock_file_that_leads_elsewhere_is_warned_of() {
    let server = Fixture::new();
    let mut former = Setup::of(&server).run();
    assert_eq!(former.does("start"), "done");
    drop(former);
    assert!(blocking_until(|| server.alive().is_empty()));
    let files = fs::read_dir(folder(&server)).unwrap();
    let owners = files
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|kind| kind == "owner"));
    let (owners, elsewhere) = (owners.unwrap(), server.folder().join("elsewhere"));
    fs::rename(&owners, &elsewhere).unwrap();
    symlink(&elsewhere, &owners).unwrap();
    assert_warns_and_works(&server);
}
