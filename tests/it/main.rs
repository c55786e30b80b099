//! The crate against real servers, through real sockets.
#![cfg(unix)]
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
#[cfg(feature = "docker")]
mod containers;
mod credentials;
mod crowded;
#[cfg(target_os = "linux")]
mod cycles;
mod diagnostics;
mod documents;
#[cfg(target_os = "linux")]
mod events;
mod examples;
mod exhaustion;
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod exposure;
mod external;
mod failed_start;
mod fakes;
mod fifty_providers;
#[cfg(target_os = "linux")]
mod floods;
#[cfg(feature = "gateway")]
mod gateway;
mod identity;
mod idle;
#[cfg(target_os = "linux")]
mod inherited;
mod journals;
mod launchers;
mod launching;
mod leases;
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod memory_pressure;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
#[cfg(feature = "json5")]
mod openclaw;
#[cfg(feature = "json5")]
mod openclaw_docs;
mod output;
mod poll_ready;
mod ports;
mod program_end;
mod protection;
mod providers;
mod quickstart;
mod readiness;
mod recipes;
#[cfg(feature = "reqwest")]
mod reqwest_client;
#[cfg(feature = "retry")]
mod resending;
mod resolvers;
mod runtimes;
mod secrets;
mod several_programs;
mod sharing;
mod shutdown;
mod silence;
mod stop;
mod stopped_streams;
mod support;
#[cfg(target_os = "linux")]
mod suspended;
mod swap;
mod tracing_events;
mod turns;
mod unanswered;
#[cfg(target_os = "linux")]
mod unkillable;
mod upgrades;
mod warm_path;
