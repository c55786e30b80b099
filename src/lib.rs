//! Starts a local server on demand, before the request that needs it is sent.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!(
    "tower-local-service needs Unix: process groups and a guardian shell keep servers from outliving their host"
);

mod config;
mod error;
mod probe;
mod process;
mod status;
mod supervisor;

pub use self::config::{InheritEnv, LocalServiceConfig};
pub use self::error::{Error, ErrorKind, Problem};
pub use self::status::{Origin, Phase};

/// Any error, as Tower's middleware uses it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
