//! Processes by what their environment has.

use std::{fs, os::unix::fs::MetadataExt};

use rustix::process::{PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal};

use super::{processes, stat::Stat};
use crate::launch::process::{
    guardian::pid_of,
    strays::{Carrier, Cookie},
};

/// Who of this user's processes carries the cookie.
pub(crate) fn carriers(cookie: &Cookie) -> Vec<Carrier> {
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
    // For a moment, a process that loads another program shows no environment.
    found.extend(empty.into_iter().filter(|pid| has_cookie(*pid, cookie)));
    found.into_iter().filter_map(carrier).collect()
}

/// Whether it has not ended since it was found.
pub(crate) fn lives(carrier: Carrier) -> bool {
    Stat::of(carrier.pid).is_some_and(|stat| stat.lives() && stat.started == carrier.started)
}

/// Signals a carrier, and nobody else who might have its number by now. On a kernel before 5.3 it
/// cannot be held on to, and is left alone.
pub(crate) fn signal(carrier: Carrier, cookie: &Cookie, signals: &[Signal]) {
    let held = pid_of(carrier.pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
    let Some(Ok(held)) = held else { return };
    // Only now is it sure that what is held is what is read.
    if has_cookie(carrier.pid, cookie) {
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

fn carrier(pid: u32) -> Option<Carrier> {
    let stat = Stat::of(pid).filter(Stat::lives)?;
    Some(Carrier {
        pid,
        started: stat.started,
        group: stat.group,
    })
}
