//! How a child process ended.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::{os, pid};
use crate::launch::Exit;

/// The exit that `wait` reports. An error means that your program reaps its children elsewhere (it
/// ignores SIGCHLD, for one): the process has ended, and its exit status is lost.
pub(super) fn of(status: io::Result<ExitStatus>) -> Exit {
    status.map_or_else(
        |_| Exit::default(),
        |status| Exit {
            code: status.code(),
            signal: status.signal(),
            watchdog_died: false,
        },
    )
}

/// Whether a command has done what it should. Where its exit status is lost, it is not known to have failed.
pub(super) fn is_good(exit: Exit) -> bool {
    matches!(exit.code, None | Some(0)) && exit.signal.is_none() && !exit.watchdog_died
}

/// The state of a child process now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peek {
    /// It runs.
    Running,
    /// It has ended and is not reaped: no other process can have its number.
    Ended(Exit),
    /// Other code has reaped it: another process may have its number.
    Lost,
}

/// Whether a child runs, and is not being torn down.
pub(super) fn is_running(pid: Pid) -> bool {
    // Another thread may reap it between the first two looks, after which `/proc` shows nothing.
    peek(pid) == Peek::Running && !os::exiting(pid::number(pid)) && peek(pid) == Peek::Running
}

/// Looks at a child without reaping it.
pub(super) fn peek(pid: Pid) -> Peek {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), options) {
        Ok(None) => Peek::Running,
        Ok(Some(status)) => Peek::Ended(Exit {
            code: status.exit_status(),
            signal: status.terminating_signal(),
            watchdog_died: false,
        }),
        Err(_) => Peek::Lost,
    }
}
