//! What the kernel counts for a process or thread.

use std::fs;

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

/// The memory that this process has, in bytes.
pub(crate) fn resident() -> u64 {
    status("self", "VmRSS") * 1024
}

/// The most memory that it had since the last [`forget_peak`], in bytes.
pub(crate) fn peak() -> u64 {
    status("self", "VmHWM") * 1024
}

/// What was before does not count any more: another part of the table may have taken more.
pub(crate) fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}
