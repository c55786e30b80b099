//! The name of a process, as `/proc` has it.

use std::fs;

use crate::{launch::output::show_output, secrets::Secrets};

/// The name of a process, safe to show.
pub(super) fn name(pid: u32) -> Option<String> {
    let name = fs::read(format!("/proc/{pid}/comm")).ok()?;
    let name = show_output(name.trim_ascii(), &Secrets::default());
    (!name.is_empty()).then_some(name)
}
