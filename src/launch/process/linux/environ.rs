//! Finds processes by the cookie in their environment, and signals what was found.

use std::{fs, os::unix::fs::MetadataExt};

use rustix::process::{PidfdFlags, Signal, Uid, geteuid, pidfd_open, pidfd_send_signal};

use super::{processes, stat::Stat};
use crate::launch::process::{cookie::Cookie, family::Descendant, pid};

/// The processes that have the cookie, of those whose environment this user may read. Blocks for milliseconds.
pub(crate) fn with_cookie(cookie: &Cookie) -> Vec<Descendant> {
    let user = geteuid();
    let mut found = Vec::new();
    let mut empty = Vec::new();
    for pid in processes()
        .into_iter()
        .flatten()
        .filter(|pid| user.is_root() || is_of(user, *pid))
    {
        match environ(pid) {
            Some(environ) if environ.is_empty() => empty.push(pid),
            Some(environ) if cookie.is_in(&environ) => found.push(pid),
            _ => {}
        }
    }
    // For a moment, a process that loads another program shows no environment: look again.
    found.extend(empty.into_iter().filter(|pid| has_cookie(*pid, cookie)));
    found.into_iter().filter_map(descendant).collect()
}

/// Whether the process has not ended since it was found.
pub(crate) fn lives(descendant: Descendant) -> bool {
    Stat::of(descendant.pid).is_some_and(|stat| stat.lives() && stat.started == descendant.started)
}

/// Signals a descendant, and no other process that has its number by now. A kernel before 5.3 has no
/// safe way to do this, and then nothing is sent.
pub(crate) fn signal(descendant: Descendant, signals: &[Signal]) {
    let held = pid::from_number(descendant.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let Some(Ok(held)) = held else { return };
    // Read after the pidfd was opened, so it is the start of the process that is signalled.
    if lives(descendant) {
        for signal in signals {
            let _ = pidfd_send_signal(&held, *signal);
        }
    }
}

fn is_of(user: Uid, pid: u32) -> bool {
    let process = fs::metadata(format!("/proc/{pid}"));
    process.is_ok_and(|process| process.uid() == user.as_raw())
}

fn has_cookie(pid: u32, cookie: &Cookie) -> bool {
    environ(pid).is_some_and(|environ| cookie.is_in(&environ))
}

fn environ(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

/// The process as it is now, unless it has ended.
pub(crate) fn descendant(pid: u32) -> Option<Descendant> {
    let stat = Stat::of(pid).filter(Stat::lives)?;
    Some(Descendant {
        pid,
        started: stat.started,
        group: stat.group,
    })
}
