//! The connections of bells.

#[cfg(windows)]
mod loopback;
#[cfg(not(any(unix, windows)))]
mod none;
#[cfg(unix)]
mod unix;

#[cfg(windows)]
pub(super) use self::loopback::{Line, Listener, connect, listen};
#[cfg(not(any(unix, windows)))]
pub(super) use self::none::{Line, Listener, connect, listen};
#[cfg(unix)]
pub(super) use self::unix::{Line, Listener, connect, listen};
