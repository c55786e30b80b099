//! What this machine tells of ports and of processes that the crate did not start, and what it allows.

use std::{sync::LazyLock, time::Duration};

use rustix::fs::Access;

use super::{
    blocking,
    os::{self, Cgroup},
    spawn::SHELL,
};
use crate::launch::{Guarantees, Holder};

/// The program that listens on the port, where the system tells. Takes milliseconds, on a thread that may block.
///
/// # Cancel safety
///
/// Dropping the future has no effect.
pub(crate) async fn holder(port: u16) -> Option<Holder> {
    blocking::begin_or_do(move || os::holder(port)).await.ok()?
}

/// How long ago bytes went over an open connection to this port, from any program; `None` where the system
/// does not tell, and if there is none. Takes milliseconds, on a thread that may block.
///
/// # Cancel safety
///
/// Dropping the future has no effect.
pub(crate) async fn last_use(port: u16) -> Option<Duration> {
    let found = blocking::begin_or_do(move || os::last_use(port)).await;
    found.ok().flatten()
}

/// What a process has used of the CPU so far, where the system tells.
pub(crate) fn cpu_time_of(pid: u32) -> Option<Duration> {
    os::cpu_time([pid])
}

/// When a living process was started, where the system tells.
#[cfg(feature = "docker")]
pub(in crate::launch) fn start_of(pid: u32) -> Option<u64> {
    os::descendant(pid).map(|it| it.started)
}

/// Whether a process has this number; one that is another user's counts as none.
#[cfg(feature = "docker")]
pub(in crate::launch) fn exists(pid: u32) -> bool {
    let pid = super::pid::from_number(pid);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
}

/// Whether the system tells when a port was last used.
pub(crate) fn shows_use() -> bool {
    static SHOWS: LazyLock<bool> = LazyLock::new(os::shows_use);
    *SHOWS
}

/// What this machine allows now for processes. Takes about a millisecond.
pub(crate) fn guarantees() -> Guarantees {
    let may_run = |path: &str| rustix::fs::access(path, Access::EXEC_OK).is_ok();
    let watchdog = may_run(SHELL);
    Guarantees {
        dies_with_program: watchdog,
        has_grace: watchdog && ["/bin/sleep", "/usr/bin/sleep"].into_iter().any(may_run),
        finds_descendants: os::shows_descendants(),
        keeps_descendants: watchdog && Cgroup::new().is_some(),
        ..Guarantees::default()
    }
}
