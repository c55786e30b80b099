//! What the numbers of the system mean, and what helps.

#[cfg(not(any(unix, windows)))]
mod other;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(not(any(unix, windows)))]
pub(super) use self::other::{code_hint, signal_hint, signal_name, spawn_hint};
#[cfg(unix)]
pub(super) use self::unix::{code_hint, signal_hint, signal_name, spawn_hint};
#[cfg(windows)]
pub(super) use self::windows::{code_hint, signal_hint, signal_name, spawn_hint};
