//! The crate against real servers, through real sockets.

mod quickstart;
mod support;
mod tracing_events;
