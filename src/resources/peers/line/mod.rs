//! The connections of bells.

#[cfg(not(unix))]
mod none;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use self::none::{Line, Listener, connect, listen};
#[cfg(unix)]
pub(super) use self::unix::{Line, Listener, connect, listen};
