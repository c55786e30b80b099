//! The crate against servers in Python.
//!
//! ```text
//! UVICORN=$(.ci/uvicorn) MLX_LM=$(.ci/mlx-lm) PYTHON3=/usr/bin/python3 \
//!     cargo test --all-features --test python_servers -- --ignored
//! ```
#![cfg(unix)]

mod http_1_0;
#[cfg(feature = "gateway")]
mod mlx_lm;
#[path = "../real/mod.rs"]
mod real;
#[path = "../it/support/mod.rs"]
mod support;
mod uvicorn;
