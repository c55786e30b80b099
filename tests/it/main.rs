//! The crate against real servers, through real sockets.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod auto_traits;
mod bodies;
mod broken_streams;
mod cancellation;
mod clients;
mod cold_starts;
mod composition;
mod fakes;
mod leases;
mod poll_ready;
mod protection;
mod quickstart;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod resolvers;
mod stopped_streams;
mod support;
mod tracing_events;
mod upgrades;
mod warm_path;
