//! Process numbers, as system calls and as `/proc` have them.

use rustix::process::Pid;

/// For system calls; `None` for a number that no process can have.
pub(super) fn from_number(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

pub(super) fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
