//! How much memory this process has, and the most that it had.

use std::fs;

use crate::support::status;

/// The memory that this process has, in bytes.
pub(crate) fn resident() -> u64 {
    status("self", "VmRSS") * 1024
}

/// The most memory that it had since the last [`forget_peak`], in bytes.
pub(crate) fn peak() -> u64 {
    status("self", "VmHWM") * 1024
}

/// Makes the peak begin again: another part of the table may have taken more.
pub(crate) fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}
