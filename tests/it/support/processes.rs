//! A look at the processes of this machine.

use std::fs;

use rustix::process::{Pid as RawPid, Signal, kill_process};

pub(crate) type Pid = u32;

/// Whether it runs or is suspended. A zombie is not alive.
pub(crate) fn is_alive(pid: Pid) -> bool {
    stat(pid, 0).is_some_and(|state| state != "Z" && state != "X")
}

/// Its process group, which is the pid of its watchdog.
pub(crate) fn group_of(pid: Pid) -> Option<Pid> {
    stat(pid, 2)?.parse().ok()
}

/// A field of its line in `/proc`, counted from the state.
pub(crate) fn stat(pid: Pid, field: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the fields may contain any characters, so counting starts after it.
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_whitespace().nth(field).map(str::to_owned)
}

/// A number of `/proc/{of}/status`: `self`, a pid, or `self/task/` and the number of a thread.
pub(crate) fn status(of: &str, field: &str) -> u64 {
    let path = format!("/proc/{of}/status");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number {field} in {path}"))
}

/// The living members of a process group, including its watchdog.
pub(crate) fn members_of(group: Pid) -> Vec<Pid> {
    let is_member = |pid: &Pid| group_of(*pid) == Some(group) && is_alive(*pid);
    all().filter(is_member).collect()
}

/// The children of a process, zombies included.
pub(crate) fn children_of(parent: Pid) -> Vec<Pid> {
    let is_child = |pid: &Pid| stat(*pid, 1) == Some(parent.to_string());
    all().filter(is_child).collect()
}

/// All living processes with this text in their arguments.
pub(crate) fn processes_with(text: &str) -> Vec<Pid> {
    all()
        .filter(|pid| has_argument(*pid, text) && is_alive(*pid))
        .collect()
}

fn all() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn has_argument(pid: Pid, text: &str) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains(text))
}

/// Signals a process that the test started, itself or through the crate.
pub(crate) fn signal(pid: Pid, signal: Signal) {
    let raw = i32::try_from(pid).ok().and_then(RawPid::from_raw);
    let _ = kill_process(raw.expect("a pid"), signal);
}

pub(crate) fn kill(pid: Pid) {
    signal(pid, Signal::KILL);
}

/// Whether this program, and so its children, ignore a signal.
pub(crate) fn ignores(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    let mask = mask.map_or(Ok(0), |mask| u64::from_str_radix(mask.trim(), 16));
    mask.expect("a mask") & (1 << (signal.as_raw() - 1)) != 0
}
