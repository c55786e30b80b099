//! The crate against real servers, through real sockets.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod abandoned;
mod back_off;
mod before_start;
mod cold;
mod credentials;
mod external;
mod failed_start;
mod host_death;
mod identity;
mod idle;
mod output;
mod readiness;
mod runtimes;
mod shutdown;
mod stop;
mod support;
mod suspicion;
mod swap;
