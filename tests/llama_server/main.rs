//! The crate against a real llama-server.
//!
//! ```text
//! LLAMA_SERVER=$(.ci/llama-server) cargo test --all-features --test llama_server -- --ignored
//! ```

mod credentials;
mod llama;
mod model_files;
mod ports;
#[path = "../real/mod.rs"]
mod real;
mod router;
mod stopping;
mod successors;
#[path = "../it/support/mod.rs"]
#[allow(unused_imports, reason = "it serves the other integration tests too")]
mod support;
mod wrapper;
