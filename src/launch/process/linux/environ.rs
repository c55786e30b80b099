//! Finds processes by the cookie in their environment.

use std::{fs, os::unix::fs::MetadataExt};

use rustix::process::{PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use super::{processes, stat::Stat};
use crate::launch::process::{
    cookie::{Cookie, Descendant},
    pid,
};

/// This user's processes that have the cookie. Blocks for milliseconds.
pub(crate) fn descendants(cookie: &Cookie) -> Vec<Descendant> {
    let mut found = Vec::new();
    let mut empty = Vec::new();
    for pid in processes()
        .into_iter()
        .flatten()
        .filter(|pid| is_of_user(*pid))
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
pub(crate) fn signal(descendant: Descendant, cookie: &Cookie, signals: &[Signal]) {
    let held = pid::from_number(descendant.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let Some(Ok(held)) = held else { return };
    // Read after the pidfd was opened, so it is the environment of the process that is signalled.
    if has_cookie(descendant.pid, cookie) {
        for signal in signals {
            let _ = pidfd_send_signal(&held, *signal);
        }
    }
}

fn is_of_user(pid: u32) -> bool {
    let process = fs::metadata(format!("/proc/{pid}"));
    process.is_ok_and(|process| process.uid() == geteuid().as_raw())
}

fn has_cookie(pid: u32, cookie: &Cookie) -> bool {
    environ(pid).is_some_and(|environ| cookie.is_in(&environ))
}

fn environ(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

fn descendant(pid: u32) -> Option<Descendant> {
    let stat = Stat::of(pid).filter(Stat::lives)?;
    Some(Descendant {
        pid,
        started: stat.started,
        group: stat.group,
    })
}
