//! The processes of this machine, as the system shows them to anyone: for these tests, and for those of `tests/it`.

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[path = "linux.rs"]
mod system;
#[cfg(not(all(target_os = "linux", not(tower_local_service_portable))))]
#[path = "portable.rs"]
mod system;

pub(crate) use self::system::{Process, all, of};

impl Process {
    /// Whether it runs or is suspended. A zombie is not alive.
    pub(crate) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}
