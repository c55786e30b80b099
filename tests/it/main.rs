//! The crate against real servers, through real sockets.

mod auto_traits;
mod clients;
mod leases;
mod support;
