//! The example `gateway`, through its address: each test runs one, with servers of its own.

mod admin;
mod body_limit;
mod choice;
mod config;
mod errors;
mod hang_up;
mod headers;
mod keep_alive;
mod load;
mod malformed;
mod many;
mod origin;
mod shutdown;
mod timeouts;
