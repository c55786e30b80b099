//! The connections of bells.

#[cfg(windows)]
mod loopback;
#[cfg(any(not(any(unix, windows)), tower_local_service_unsupported))]
mod none;
#[cfg(all(unix, not(tower_local_service_unsupported)))]
mod unix;

#[cfg(windows)]
pub(super) use self::loopback::{Line, Listener, connect, listen};
#[cfg(any(not(any(unix, windows)), tower_local_service_unsupported))]
pub(super) use self::none::{Line, Listener, connect, listen};
#[cfg(all(unix, not(tower_local_service_unsupported)))]
pub(super) use self::unix::{Line, Listener, connect, listen};
