//! The crate against real servers, through real sockets.

mod auto_traits;
mod support;
