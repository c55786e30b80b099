//! How a process ended.

use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::os;

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    /// Its exit code, if it ended by itself.
    pub(crate) code: Option<i32>,
    /// The signal that ended it, if one did.
    pub(crate) signal: Option<i32>,
    /// The guardian was gone before the service, which was then killed.
    pub(crate) by_guardian: bool,
}

impl Exit {
    /// What `wait` said. An error means that the host reaps its children behind our back (it ignores
    /// SIGCHLD, for one): the process has ended, and nobody knows how.
    pub(super) fn of(status: io::Result<ExitStatus>) -> Self {
        status.map_or_else(
            |_| Self::default(),
            |status| Self {
                code: status.code(),
                signal: status.signal(),
                by_guardian: false,
            },
        )
    }
}

/// A child of ours, as the system has it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peek {
    /// It runs.
    Running,
    /// It has ended, and its number is still its own.
    Ended(Exit),
    /// Somebody has reaped it: its number may be anybody's.
    Lost,
}

/// Whether a child of ours runs, and is not being torn down.
pub(super) fn is_running(pid: Pid) -> bool {
    let number = pid.as_raw_nonzero().get().unsigned_abs();
    // Another thread may reap it between the looks, and then nothing is left to be seen as exiting.
    peek(pid) == Peek::Running && !os::exiting(number) && peek(pid) == Peek::Running
}

/// Looks at a child without reaping it.
pub(super) fn peek(pid: Pid) -> Peek {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match waitid(WaitId::Pid(pid), options) {
        Ok(None) => Peek::Running,
        Ok(Some(status)) => Peek::Ended(Exit {
            code: status.exit_status(),
            signal: status.terminating_signal(),
            by_guardian: false,
        }),
        Err(_) => Peek::Lost,
    }
}
