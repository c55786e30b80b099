//! The crate against real servers, through real sockets.
#![cfg(any(unix, windows))]
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
// Not on Windows: scripts of a shell stand for servers.
#[cfg(unix)]
mod composition;
// Not on Windows: the socket of an engine is one of Unix.
#[cfg(feature = "docker")]
#[cfg(unix)]
mod containers;
mod credentials;
// Not on Windows: servers write down the signals that they get.
#[cfg(unix)]
mod crowded;
// Only on Linux: it counts descriptors, threads and memory in /proc.
#[cfg(target_os = "linux")]
mod cycles;
// Not on Windows: it runs the compiler, for this machine.
#[cfg(unix)]
mod diagnostics;
// Not on Windows: the documents are the same everywhere.
#[cfg(unix)]
mod documents;
// Not on Windows: it was not tried there yet.
#[cfg(unix)]
mod events;
// Not on Windows: they are run by a shell, and stopped by signals.
#[cfg(unix)]
mod examples;
// Not on Windows: it sets limits that Unix has.
#[cfg(unix)]
mod exhaustion;
// Only Linux tells on which addresses a server listens.
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod exposure;
// Not on Windows: it looks at the signals that a server does not get.
#[cfg(unix)]
mod external;
mod failed_start;
mod fakes;
mod fifty_providers;
// Only on Linux: it reads in /proc how much memory was used.
#[cfg(target_os = "linux")]
mod floods;
// Not on Windows: its tests read /proc and send signals.
#[cfg(feature = "gateway")]
#[cfg(unix)]
mod gateway;
mod identity;
mod idle;
// Only on Linux: /proc shows which signals are ignored, and which descriptors are inherited.
#[cfg(target_os = "linux")]
mod inherited;
mod journals;
// Not on Windows: the pods of its cluster are ended by signals.
#[cfg(feature = "kubernetes")]
#[cfg(unix)]
mod kubernetes;
mod launchers;
// Not on Windows: scripts of a shell stand for servers.
#[cfg(unix)]
mod launching;
mod leases;
// Not on Windows: the manifests are the same everywhere.
#[cfg(unix)]
mod manifests;
// Only Linux has a score for when memory runs out.
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod memory_pressure;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
// Not on Windows: its files have paths of Unix.
#[cfg(feature = "json5")]
#[cfg(unix)]
mod openclaw;
// Not on Windows: its files have paths of Unix.
#[cfg(feature = "json5")]
#[cfg(unix)]
mod openclaw_docs;
mod output;
mod poll_ready;
// Not on Windows: it was not tried there yet.
#[cfg(unix)]
mod ports;
mod program_end;
mod protection;
mod providers;
mod quickstart;
// Not on Windows: it suspends servers by signals.
#[cfg(unix)]
mod readiness;
mod recipes;
#[cfg(feature = "reqwest")]
mod reqwest_client;
// Not on Windows: it kills servers hundreds of times, each time by a program there.
#[cfg(feature = "retry")]
#[cfg(unix)]
mod resending;
mod resolvers;
mod runtimes;
// Not on Windows: its files have paths of Unix.
#[cfg(unix)]
mod secrets;
mod several_programs;
mod sharing;
mod shutdown;
// Not on Windows: it suspends servers by signals.
#[cfg(unix)]
mod silence;
// Not on Windows: a stop is a signal, and all tests look at those that a server gets.
#[cfg(unix)]
mod stop;
mod stopped_streams;
mod support;
// Not on Windows: it suspends a program by a signal.
#[cfg(unix)]
mod suspended;
mod swap;
// Not on Windows: scripts of a shell stand for servers.
#[cfg(unix)]
mod tracing_events;
// Not on Windows: servers write down the signals that they get.
#[cfg(unix)]
mod turns;
// Not on Windows: it suspends servers by signals.
#[cfg(unix)]
mod unanswered;
// Only on Linux: strace keeps a process from ending, and refuses signals.
#[cfg(target_os = "linux")]
mod unkillable;
mod upgrades;
mod warm_path;
// What only Windows has.
#[cfg(windows)]
mod windows;
