//! The crate against real servers, through real sockets.

mod auto_traits;
mod bodies;
mod broken_streams;
mod clients;
mod composition;
mod fakes;
mod leases;
mod protection;
mod readiness;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod stopped_streams;
mod support;
mod upgrades;
mod warm_path;
