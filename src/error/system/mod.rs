//! What the numbers of the system mean, and what helps.

#[cfg(any(not(any(unix, windows)), tower_local_service_unsupported))]
mod other;
#[cfg(all(unix, not(tower_local_service_unsupported)))]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(any(not(any(unix, windows)), tower_local_service_unsupported))]
pub(super) use self::other::{code_hint, signal_hint, signal_name, spawn_hint};
#[cfg(all(unix, not(tower_local_service_unsupported)))]
pub(super) use self::unix::{code_hint, signal_hint, signal_name, spawn_hint};
#[cfg(windows)]
pub(super) use self::windows::{code_hint, signal_hint, signal_name, spawn_hint};
