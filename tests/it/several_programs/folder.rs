//! The folder with the files that programs share, and what may be in its place.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    thread,
};

use super::{log, program::Setup};
use crate::support::{Fixture, blocking_until, is_alive, ms};

/// A part of the warning.
const UNUSABLE: &str = "cannot be used: several programs";

fn folder(server: &Fixture) -> PathBuf {
    server.folder().join("tower-local-service")
}

#[test]
fn what_a_former_program_left_behind_is_no_hindrance() {
    let server = Fixture::new();
    let mut former = Setup::of(&server).run();
    assert_eq!(former.does("start"), "done");
    former.kill();
    assert!(blocking_until(|| server.alive().is_empty()));
    assert!(fs::read_dir(folder(&server)).unwrap().count() >= 3);

    let other = Fixture::on(server.port());
    let mut program = Setup::beside(&other, &server).run();
    assert_eq!(program.does("ask 1"), other.starts()[0].to_string());
    assert!(!log(&other).contains(UNUSABLE), "{}", log(&other));
}

/// The next program warns, and works as if it were alone.
fn assert_warns_and_works(server: &Fixture) {
    let mut program = Setup::of(server).run();
    let answer = program.does("ask 2");
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

/// Only Linux reaches a socket by any name.
const REACHES_ALL: bool = cfg!(all(target_os = "linux", not(tower_local_service_portable)));

#[test]
fn in_a_folder_whose_path_is_too_long_for_a_socket_a_peer_waits_all_the_same() {
    let server = Fixture::new();
    let other = Fixture::on(server.port());
    let folder = server.folder().join("x".repeat(100));
    fs::create_dir(&folder).unwrap();
    let owner = Setup {
        folder: folder.clone(),
        idle_stop: ms(1500),
        ..Setup::of(&server)
    };
    let rival = Setup {
        folder,
        ..Setup::beside(&other, &server)
    };
    let mut owner = owner.run();
    assert_eq!(owner.does("hold"), "done");
    let mut rival = rival.run();
    rival.begin("ask 1");
    thread::sleep(ms(500));
    assert!(other.starts().is_empty(), "a lease is out");
    assert_eq!(owner.does("let-go"), "done");
    assert_eq!(rival.answer(), other.starts()[0].to_string());
    assert!(!is_alive(server.starts()[0]));
    let log = log(&server);
    let warnings = log.matches("choose a folder with a shorter path");
    let expected = usize::from(!REACHES_ALL);
    assert_eq!(warnings.count(), expected, "{log}");
}

#[test]
fn a_full_disk_is_warned_of() {
    let server = Fixture::new();
    let setup = Setup {
        needs: 18,
        ..Setup::of(&server)
    };
    // The files of the server are elsewhere.
    let folder = server.folder().join("full");
    fs::create_dir(&folder).unwrap();
    let Some(mut program) = (Setup { folder, ..setup }).run_on_full_disk() else {
        // Not everywhere may a test mount a file system.
        return;
    };
    assert_eq!(program.does("ask 2"), server.starts()[0].to_string());
    let log = log(&server);
    assert_eq!(log.matches(UNUSABLE).count(), 1, "{log}");
    assert!(log.contains("No space left"), "{log}");
}

#[test]
fn a_service_without_a_seat_is_warned_of() {
    let server = Fixture::new();
    let folder = folder(&server);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let taken = (0..256).map(|number| {
        let seat = fs::File::create(folder.join(format!("seat-{number:03}"))).unwrap();
        seat.lock().unwrap();
        seat
    });
    let taken: Vec<_> = taken.collect();
    let setup = Setup {
        needs: 18,
        ..Setup::of(&server)
    };
    let mut program = setup.run();
    assert_eq!(program.does("ask 2"), server.starts()[0].to_string());
    let log = log(&server);
    assert_eq!(log.matches(UNUSABLE).count(), 1, "{log}");
    assert!(log.contains("all 256 seats are taken"), "{log}");
    drop(taken);
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
