//! A start that the system refuses half-way is an error, leaves nothing behind, and does not prevent the
//! next start.

use std::{
    fs::{self, DirEntry, File},
    os::unix::fs::MetadataExt as _,
};

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use tower_local_service::{Error, ErrorKind, LocalService};

use crate::support::{
    Fixture, Pid, alone, alone_with, amount, block_on, blocking_until, can, ms, shake_off_tracer,
};

fn limit(resource: Resource, to: u64) {
    let Rlimit { maximum, .. } = getrlimit(resource);
    let limit = Rlimit {
        current: Some(to),
        maximum,
    };
    setrlimit(resource, limit).unwrap();
}

/// A service with a short `readyTimeoutMs`: without descriptors no probe can find that it is ready.
fn impatient(fixture: &Fixture) -> LocalService {
    fixture.configured("impatient", fixture.config().ready_timeout(ms(700)))
}

/// Fails unless the error makes sense to a user, and nothing is left.
fn assert_clean(fixture: &Fixture, error: &Error, case: &str) {
    let sensible = matches!(
        error.kind(),
        ErrorKind::Spawn { .. } | ErrorKind::ReadyTimeout { .. } | ErrorKind::Exited { .. }
    );
    assert!(sensible, "{case}: {error}");
    let nothing = blocking_until(|| fixture.alive().is_empty());
    assert!(nothing, "{case} left {:?}: {error}", fixture.alive());
}

/// Checks that a start works again, at the latest after the pause that follows a second failure.
fn assert_works(fixture: &Fixture, case: &str) {
    let service = fixture.service("patient");
    let works = || block_on(service.acquire()).is_ok();
    assert!(blocking_until(works), "{case}: {:?}", service.status());
    assert_eq!(fixture.alive().len(), 1, "{case}");
    block_on(service.stop()).unwrap();
}

/// Starts the service again and again, each time with a little more of a scarce resource. `take` takes
/// all but so much of it, and returns a value that gives it back when dropped.
fn sweep<T>(what: &str, take: impl Fn(usize) -> T) {
    const MOST: usize = 16;

    // The first start of a program also needs a thread for the supervisors.
    let least = amount(LEAST, 0);
    let mut failures = 0;
    for free in least..MOST {
        let case = format!("with {free} {what}, {least} at first");
        let fixture = Fixture::new();
        let service = impatient(&fixture);
        let taken = take(free);
        let started = block_on(service.acquire());
        drop(taken);
        if let Err(error) = started {
            failures += 1;
            assert_clean(&fixture, &error, &case);
        }
        assert_works(&fixture, &case);
    }
    assert!(failures > 0 || least > 0, "{what} were never short");
    assert!(failures < MOST - least, "{what} were always short");
}

/// How much a sweep begins with.
const LEAST: &str = "EXHAUSTION_LEAST";

/// Plays a program that begins with nothing left, and others with a little more.
fn alone_with_little(prefix: &[&str], test: &str) {
    for least in 0..8 {
        let least = format!("{LEAST}={least}");
        alone(&[prefix, &["env", &least]].concat(), test);
    }
}

fn descriptors() -> usize {
    fs::read_dir("/dev/fd").unwrap().count()
}

#[test]
#[ignore = "run by the test below, in a process whose descriptors it can take"]
fn plays_a_program_without_descriptors() {
    let at_first = descriptors();
    limit(Resource::Nofile, 256);
    sweep("descriptors", |free| {
        let mut all: Vec<_> = (0..).map_while(|_| File::open("/dev/null").ok()).collect();
        all.truncate(all.len() - free);
        all
    });
    let before = descriptors();
    assert_works(&Fixture::new(), "with all");
    assert!(blocking_until(|| descriptors() <= before));
    // For the runtime of the supervisors, and for tokio's children.
    assert!(
        before < at_first + 12,
        "{at_first} descriptors, now {before}"
    );
}

#[test]
fn a_start_that_runs_out_of_descriptors_is_an_error_and_leaves_nothing() {
    alone_with_little(&[], "exhaustion::plays_a_program_without_descriptors");
}

/// Restores the limit when dropped.
struct Processes(u64);

impl Drop for Processes {
    fn drop(&mut self) {
        limit(Resource::Nproc, self.0);
    }
}

/// How many threads this user has. The limit counts threads.
fn threads_of_user() -> usize {
    let is_number = |entry: &DirEntry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|it| it.parse::<Pid>().is_ok())
    };
    let processes = fs::read_dir("/proc").unwrap().flatten().filter(is_number);
    let threads = processes
        .map(|process| process.path().join("task"))
        .filter(|tasks| fs::metadata(tasks).is_ok_and(|it| it.uid() == geteuid().as_raw()))
        .filter_map(|tasks| Some(fs::read_dir(tasks).ok()?.count()));
    threads.sum()
}

#[test]
#[ignore = "run by the test below, as a user who has no other processes"]
fn plays_a_program_without_processes() {
    let usual = getrlimit(Resource::Nproc).maximum.unwrap_or(1 << 20);
    sweep("processes", |free| {
        let limit_to = threads_of_user() + free;
        limit(Resource::Nproc, limit_to.try_into().unwrap());
        Processes(usual)
    });
}

#[test]
fn a_start_that_may_have_no_more_processes_is_an_error_and_leaves_nothing() {
    // The limit does not apply to root, and counts everything that another user runs. This one may enter
    // every folder, as the test program may be in a home of mode 0700.
    let somebody = [
        "setpriv",
        "--reuid=61234",
        "--regid=61234",
        "--clear-groups",
        "--inh-caps=-all,+dac_override",
        "--ambient-caps=-all,+dac_override",
    ];
    if can(&[&somebody[..], &["true"]].concat()) {
        alone_with_little(&somebody, "exhaustion::plays_a_program_without_processes");
    }
}

#[test]
#[ignore = "run by the tests below, with a system call that fails"]
fn plays_a_program_whose_calls_are_refused() {
    let fixture = Fixture::new();
    let service = impatient(&fixture);
    let started = block_on(service.acquire());
    shake_off_tracer();
    if let Err(error) = started {
        assert_clean(&fixture, &error, "what the system refused");
    }
    assert_works(&fixture, "after that");
}

/// Makes one call after the other fail, and fails unless so many have failed. Calls are counted by thread:
/// that of the program, that of the supervisors, and that which starts the two processes.
fn refuse_each(call: &str, most: usize, least_failures: usize) {
    let mut failed = 0;
    for nth in 1..=most {
        let fault = format!("{call}:when={nth}");
        match alone_with(
            &fault,
            "exhaustion::plays_a_program_whose_calls_are_refused",
        ) {
            Some(calls) => failed += calls,
            None => return,
        }
    }
    assert!(failed >= least_failures, "only {failed} calls failed");
}

#[test]
fn a_start_whose_descriptors_cannot_be_watched_is_an_error_and_leaves_nothing() {
    refuse_each("epoll_ctl:error=ENOSPC", 8, 6);
}

#[test]
fn a_start_for_which_there_is_no_memory_is_an_error_and_leaves_nothing() {
    refuse_each("clone,clone3,fork,vfork:error=ENOMEM", 4, 3);
}
