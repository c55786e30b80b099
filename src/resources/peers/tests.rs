//! Peers that are only a value each: a lock belongs to a file as it was opened, not to a process.

use std::{env, fs, path::PathBuf, sync::Arc, time::Duration};

use super::*;
use crate::config::LocalServiceConfig;

fn config(command: &str) -> LocalServiceConfig {
    let disk = if cfg!(windows) { "C:" } else { "" };
    LocalServiceConfig::new(format!("{disk}{command}"))
}

/// A folder that goes with the test.
struct Folder(Arc<PathBuf>);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("local-service-programs-{name}-{}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(Arc::new(path))
    }

    fn program(&self, command: &str) -> Peers {
        let config = config(command);
        let settings = config.validate(command, "http://127.0.0.1:1/v1").unwrap();
        Peers::new(Some(self.0.clone()), Identity::of(&settings), command)
    }

    /// A file of the address that all these programs have.
    fn file(&self, kind: &str) -> PathBuf {
        let address = Address {
            host: "localhost".to_owned(),
            port: 1,
        };
        self.0.join(format!("{}.{kind}", files::stem(&address)))
    }

    fn ready(&self, command: &str) -> Peers {
        let owner = self.program(command);
        assert_eq!(owner.try_own(), Standing::Owner);
        owner.admit();
        owner
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&*self.0));
    }
}

fn try_use(program: &Peers) -> bool {
    program.try_use(&mut program.lock()).unwrap()
}

#[test]
fn a_program_knows_whether_a_peer_has_the_address_for_the_same_server() {
    let folder = Folder::new("of-a-peer");
    let owner = folder.ready("/bin/server");
    assert!(folder.program("/bin/server").is_of_a_peer());
    assert!(!folder.program("/bin/other").is_of_a_peer());
    owner.release();
    assert!(!folder.program("/bin/server").is_of_a_peer());
}

fn is_guest(program: &Peers) -> bool {
    matches!(program.try_own(), Standing::Guest { .. })
}

fn holder(standing: &Standing) -> &str {
    match standing {
        Standing::Rival { holder, .. } => holder,
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_two_programs_one_owns_and_the_other_may_use() {
    let folder = Folder::new("two");
    let (one, other) = (folder.program("/one"), folder.program("/one"));
    assert_eq!(one.try_own(), Standing::Owner);
    assert_eq!(one.try_own(), Standing::Owner);
    assert!(is_guest(&other));
    assert!(!try_use(&other), "it is not ready");
    one.admit();
    assert!(try_use(&other));
    one.release();
    assert_eq!(other.try_own(), Standing::Owner);
}

#[test]
fn another_identity_learns_which_program_has_the_address() {
    let folder = Folder::new("rival");
    let one = folder.ready("/one");
    let other = folder.program("/other");
    let standing = other.try_own();
    let expected = format!("local service `/one` of process {}", std::process::id());
    assert_eq!(holder(&standing), expected);
    drop(one);
    assert_eq!(other.try_own(), Standing::Owner);
}

#[test]
fn a_program_that_made_way_does_not_get_in_before_one_that_waits() {
    let folder = Folder::new("fair");
    let (one, other) = (folder.ready("/one"), folder.program("/other"));
    holder(&other.try_own());
    one.release();
    assert_ne!(one.try_own(), Standing::Owner);
    assert_eq!(other.try_own(), Standing::Owner);
    other.release();
    assert_eq!(one.try_own(), Standing::Owner);
}

#[test]
fn a_program_that_waits_no_longer_holds_up_no_other() {
    let folder = Folder::new("left");
    let (one, other) = (folder.ready("/one"), folder.program("/other"));
    holder(&other.try_own());
    other.release();
    one.release();
    assert_eq!(one.try_own(), Standing::Owner);
}

#[test]
fn a_server_in_use_is_not_closed_and_a_closed_one_not_used() {
    let folder = Folder::new("use");
    let (owner, user) = (folder.ready("/one"), folder.program("/one"));
    assert!(!owner.peers_use());
    assert!(try_use(&user));
    assert!(owner.peers_use());
    assert!(!owner.close_unless_used(|| panic!("it is in use")));
    user.stop_using(Duration::ZERO);
    assert!(!owner.peers_use());
    assert!(!owner.close_unless_used(|| false), "a lease of its own");
    assert!(try_use(&user));
    user.stop_using(Duration::ZERO);
    assert!(owner.close_unless_used(|| true));
    assert!(!try_use(&user));
    assert!(!owner.peers_use());
}

#[test]
fn the_owner_knows_when_its_server_was_last_used() {
    let folder = Folder::new("when");
    let (owner, user) = (folder.ready("/one"), folder.program("/one"));
    assert_eq!(owner.used_before(), None);
    assert!(try_use(&user));
    assert!(owner.used_before().unwrap() < Duration::from_secs(10));
    user.stop_using(Duration::from_secs(60));
    let before = owner.used_before().unwrap();
    let minute = Duration::from_secs(60)..Duration::from_secs(70);
    assert!(minute.contains(&before), "{before:?}");
}

#[test]
fn what_a_program_had_is_free_when_it_has_ended() {
    let folder = Folder::new("gone");
    let (owner, user) = (folder.ready("/one"), folder.program("/one"));
    assert!(try_use(&user));
    // Nothing is given back in order.
    drop(owner);
    let next = folder.program("/two");
    assert_eq!(next.try_own(), Standing::Owner, "whatever the record says");
    next.admit();
    assert!(next.peers_use(), "it does not know yet");
    assert!(!try_use(&user), "it is not for this that it was locked");
    assert!(!next.peers_use());
}

/// As the watchdog has it, which Windows does without.
#[cfg(unix)]
fn kept_by_a_watchdog(program: &Peers) -> File {
    program.instance_lock().unwrap().try_clone().unwrap()
}

#[cfg(unix)]
#[test]
fn an_address_is_not_free_before_the_watchdog_of_a_dead_owner_has_ended() {
    let folder = Folder::new("watchdog");
    let owner = folder.ready("/one");
    let watchdog = kept_by_a_watchdog(&owner);
    drop(owner);
    let (same, other) = (folder.program("/one"), folder.program("/other"));
    assert_eq!(same.try_own(), Standing::ChangingHands);
    assert!(!try_use(&same), "it is being ended");
    assert!(folder.program("/one").is_of_a_peer());
    assert!(!folder.program("/other").is_of_a_peer());
    same.release();
    assert_eq!(other.try_own(), Standing::ChangingHands);
    drop(watchdog);
    assert!(!folder.program("/one").is_of_a_peer());
    assert_eq!(other.try_own(), Standing::Owner);
}

#[cfg(unix)]
#[test]
fn a_program_that_gives_its_address_back_waits_for_its_own_watchdog_too() {
    let folder = Folder::new("own-watchdog");
    let owner = folder.ready("/one");
    let watchdog = kept_by_a_watchdog(&owner);
    owner.release();
    assert_eq!(owner.try_own(), Standing::ChangingHands);
    drop(watchdog);
    assert_eq!(owner.try_own(), Standing::Owner);
}

#[test]
fn what_cannot_be_read_is_waited_for() {
    let folder = Folder::new("torn");
    let (one, other) = (folder.ready("/one"), folder.program("/one"));
    let record = if cfg!(windows) { "owner.text" } else { "owner" };
    fs::write(folder.file(record), "torn").unwrap();
    assert_eq!(other.try_own(), Standing::ChangingHands);
    drop(one);
    assert_eq!(other.try_own(), Standing::Owner);
}

#[test]
fn without_files_there_are_no_others() {
    let folder = Folder::new("alone");
    // In its place is something else: nothing can be opened there.
    fs::create_dir(folder.file("users")).unwrap();
    for program in [folder.program("/one"), folder.program("/two")] {
        assert_eq!(program.try_own(), Standing::Owner);
        program.admit();
        assert!(!program.peers_use() && program.close_unless_used(|| true));
        program.release();
        assert!(!program.owns());
    }
}

#[test]
fn two_addresses_are_had_together() {
    let folder = Folder::new("both");
    let program = |health: &str| {
        let config = config("/one").health_url(health);
        let settings = config.validate("both", "http://127.0.0.1:1/v1").unwrap();
        Peers::new(Some(folder.0.clone()), Identity::of(&settings), "both")
    };
    let (one, both) = (folder.ready("/one"), program("http://127.0.0.1:2/health"));
    let (again, third) = (program("http://127.0.0.1:2/health"), folder.program("/one"));
    holder(&both.try_own());
    one.release();
    assert_eq!(both.try_own(), Standing::Owner);
    both.admit();
    assert!(is_guest(&again));
    assert!(try_use(&again) && both.peers_use());
    holder(&third.try_own());
}
