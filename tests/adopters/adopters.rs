//! The layer in the seams of programs that would use it. Each starts the server by its first request, streams, gives
//! the lease back, and sees that the server has died.
//!
//! ```text
//! cargo test --manifest-path tests/adopters/Cargo.toml
//! ```
//!
//! Each file has the seam as that program has it, then what the layer needs there, then the test.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod async_openai;
mod build_split;
mod check;
mod codex;
mod goose;
mod reqwest_middleware;
mod rig;
#[path = "../it/support/mod.rs"]
mod support;
mod zed;
