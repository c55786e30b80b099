//! The crate against a real llama-server. `.ci/llama-server` prints the path of one:
//!
//! ```sh
//! LLAMA_SERVER=$(.ci/llama-server) cargo test --all-features --test llama_server -- --ignored
//! ```
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

#[cfg(feature = "reqwest")]
mod answers;
#[cfg(feature = "reqwest")]
#[path = "../it/clients.rs"]
#[allow(dead_code, reason = "the tests beside it need the rest")]
mod clients;
mod credentials;
#[cfg(feature = "gateway")]
mod gateway;
mod llama;
mod model_files;
#[cfg(feature = "json5")]
mod openclaw;
mod ports;
#[path = "../real/mod.rs"]
mod real;
mod router;
mod stopping;
mod successors;
#[path = "../it/support/mod.rs"]
mod support;
mod wrapper;
