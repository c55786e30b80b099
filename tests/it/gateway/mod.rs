//! The program `local-service-gateway`, through its address: each test runs one, with servers of its own.

mod access;
mod admin;
mod body_limit;
mod check;
mod choice;
mod compressed;
mod config;
mod dialect;
mod direct;
mod early_refusal;
mod errors;
mod follow;
mod forms;
mod hang_up;
mod headers;
mod http2;
mod keep_alive;
mod keys;
mod load;
#[cfg(target_os = "linux")]
mod log;
mod malformed;
mod many;
mod metrics;
mod origin;
mod page;
mod restarts;
mod shutdown;
#[cfg(target_os = "linux")]
mod terminal;
mod timeouts;
mod tls;
