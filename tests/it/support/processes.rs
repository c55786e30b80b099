//! A look at the processes of this machine.

#[path = "../../../src/launch/process/tests/seen/mod.rs"]
mod seen;

use std::fs;

use rustix::process::{Pid as RawPid, Signal, kill_process};

use self::seen::{Process, all, of};

pub(crate) type Pid = u32;

/// Whether it runs or is suspended. A zombie is not alive.
pub(crate) fn is_alive(pid: Pid) -> bool {
    of(pid).is_some_and(|it| it.is_alive())
}

/// Whether a signal has suspended it.
pub(crate) fn is_suspended(pid: Pid) -> bool {
    of(pid).is_some_and(|it| it.state == 'T')
}

/// Its process group, which is the pid of its watchdog.
pub(crate) fn group_of(pid: Pid) -> Option<Pid> {
    Some(of(pid)?.group)
}

/// The living members of a process group, including its watchdog.
pub(crate) fn members_of(group: Pid) -> Vec<Pid> {
    with(|it| it.group == group && it.is_alive())
}

/// The children of a process, zombies included.
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    with(|it| it.parent == parent)
}

/// All living processes with this text in their arguments.
pub(crate) fn processes_with(text: &str) -> Vec<Pid> {
    with(|it| it.is_alive() && it.command().contains(text))
}

fn with(is_wanted: impl Fn(&Process) -> bool) -> Vec<Pid> {
    let wanted = all().into_iter().filter(is_wanted);
    wanted.map(|it| it.pid).collect()
}

/// Signals a process that the test started, itself or through the crate.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    let raw = i32::try_from(pid).ok().and_then(RawPid::from_raw);
    let _ = kill_process(raw.expect("a pid"), signal);
}

pub(crate) fn kill(pid: Pid) {
    signal(pid, Signal::KILL);
}

/// A number of `/proc/{of}/status`: `self`, a pid, or `self/task/` and the number of a thread.
#[cfg(target_os = "linux")]
pub(crate) fn status(of: &str, field: &str) -> u64 {
    let path = format!("/proc/{of}/status");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number {field} in {path}"))
}

/// Whether this program, and so its children, ignore a signal. Only Linux tells without unsafe code: elsewhere tests
/// expect that none is ignored.
pub(crate) fn ignores(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    let mask = mask.map_or(Ok(0), |mask| u64::from_str_radix(mask.trim(), 16));
    mask.expect("a mask") & (1 << (signal.as_raw() - 1)) != 0
}
