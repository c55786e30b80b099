//! The crate against real servers, through real sockets.

mod auto_traits;
mod bodies;
mod broken_streams;
mod cancellation;
mod clients;
mod cold_starts;
mod composition;
mod fakes;
mod leases;
mod protection;
mod readiness;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod resolvers;
mod stopped_streams;
mod support;
mod upgrades;
mod warm_path;
