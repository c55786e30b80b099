//! The crate against real servers, through real sockets.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod abandoned;
mod auto_traits;
mod back_off;
mod before_start;
mod bodies;
mod broken_streams;
mod cancellation;
mod clients;
mod cold;
mod cold_starts;
mod composition;
mod credentials;
mod external;
mod failed_start;
mod fakes;
mod host_death;
mod identity;
mod idle;
mod journals;
mod leases;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod mutants;
mod output;
mod poll_ready;
mod protection;
mod providers;
mod quickstart;
mod readiness;
#[cfg(feature = "reqwest")]
mod reqwest_client;
#[cfg(feature = "retry")]
mod resending;
mod resolvers;
mod runtimes;
mod shutdown;
mod stop;
mod stopped_streams;
mod support;
mod suspicion;
mod swap;
mod tracing_events;
mod unanswered;
mod upgrades;
mod warm_path;
