//! What only Linux tells: the members of a group, the descendants of a process, the processes with a
//! cookie, the listener of a port;
//! and how to set which process the kernel ends first when memory is short.

mod cgroup;
mod connections;
mod environ;
mod listener;
mod look;
mod name;
mod oom;
mod sock_diag;
mod sockets;
mod stat;
mod tree;

use std::{fs, time::Duration};

use rustix::{
    param::clock_ticks_per_second,
    process::{Pid, PidfdFlags, Signal, pidfd_open},
};
use tokio::{io::unix::AsyncFd, time};

use self::stat::Stat;
pub(super) use self::{
    cgroup::Cgroup,
    connections::{last_use, shows_use},
    environ::{descendant, lives, signal, with_cookie},
    listener::{holder, listener},
    look::{look, shows_descendants},
    oom::{adjust_oom_score, adjust_oom_scores},
    tree::add_descendants,
};

/// The living members of a process group, without its leader; `None` if `/proc` does not tell.
pub(super) fn members(group: u32) -> Option<Vec<u32>> {
    let members = processes()?.filter(|pid| is_member(*pid, group));
    Some(members.collect())
}

/// What these processes have used of the CPU so far; `None` if `/proc` tells of none.
pub(super) fn cpu_time(pids: impl IntoIterator<Item = u32>) -> Option<Duration> {
    let ticks = pids.into_iter().filter_map(|pid| Some(Stat::of(pid)?.cpu));
    let ticks = ticks.reduce(|one, other| one + other)?;
    let per_second = clock_ticks_per_second().max(1);
    Some(Duration::from_millis(
        ticks.saturating_mul(1000) / per_second,
    ))
}

/// Whether a process is a living member of a group that another process leads.
pub(super) fn is_member(pid: u32, group: u32) -> bool {
    pid != group && Stat::of(pid).is_some_and(|stat| stat.group == group && stat.lives())
}

/// Whether a process is being torn down, all threads of it.
pub(super) fn exiting(pid: u32) -> bool {
    // The first thread may end before the others, so all threads are looked at.
    let first = Stat::of(pid).is_some_and(|stat| stat.exiting);
    first
        && fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| {
            threads
                .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok())
                .all(|text| Stat::parse(&text).is_none_or(|stat| stat.exiting))
        })
}

/// Whether a process or thread blocks or ignores SIGTERM. `name` is its name in `/proc`.
pub(super) fn ignores_term(name: &str) -> bool {
    fs::read_to_string(format!("/proc/{name}/status")).is_ok_and(|status| masks_term(&status))
}

/// Waits until a child may have ended; does not reap it.
#[allow(
    deprecated,
    reason = "the successor of `AsyncFd::new` is newer than the oldest tokio that this crate accepts"
)]
pub(super) async fn until_exit(pid: Pid) {
    let watched = pidfd_open(pid, PidfdFlags::NONBLOCK).map(AsyncFd::new);
    match watched {
        Ok(Ok(watched)) => drop(watched.readable().await),
        // An old kernel, or no descriptor left.
        _ => time::sleep(Duration::from_millis(20)).await,
    }
}

fn masks_term(status: &str) -> bool {
    let term = 1u64 << (Signal::TERM.as_raw() - 1);
    status
        .lines()
        .filter_map(|line| {
            line.strip_prefix("SigBlk:")
                .or_else(|| line.strip_prefix("SigIgn:"))
        })
        .filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .any(|mask| mask & term != 0)
}

/// The numbers of all processes that `/proc` shows.
fn processes() -> Option<impl Iterator<Item = u32>> {
    let entries = fs::read_dir("/proc").ok()?;
    let mut pids = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .peekable();
    pids.peek()?;
    Some(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_or_ignored_term_is_detected() {
        let status = |blocked: &str, ignored: &str| {
            format!("Name:\tx\nSigBlk:\t{blocked}\nSigIgn:\t{ignored}\n")
        };
        assert!(masks_term(&status("0000000000004000", "0000000000000000")));
        assert!(masks_term(&status("0000000000000000", "0000000000004004")));
        assert!(!masks_term(&status("0000000000002000", "0000000000000001")));
    }

    #[test]
    fn a_running_process_is_not_being_torn_down() {
        assert!(!exiting(std::process::id()));
    }
}
