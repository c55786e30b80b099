//! The crate against real servers, through real sockets.

mod support;
