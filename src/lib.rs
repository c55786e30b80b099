//! Starts a local server on demand, before the request that needs it is sent.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!(
    "tower-local-service needs Unix: process groups and a guardian shell keep servers from outliving their host"
);

pub mod body;
mod config;
mod error;
pub mod future;
mod layer;
mod probe;
mod process;
mod registry;
#[cfg(feature = "reqwest")]
mod reqwest;
mod resolve;
mod response;
mod service;
mod status;
mod supervisor;

pub use self::{
    config::{InheritEnv, LocalServiceConfig},
    error::{Error, ErrorKind, Problem},
    layer::{EnsureLocalServiceLayer, EnsureOn},
    registry::Registry,
    resolve::{ForItsOrigin, Resolve},
    response::{ColdStart, HoldLease},
    service::EnsureLocalService,
    status::{Origin, Phase, Status},
    supervisor::{Lease, LocalService, Record, StatusWatch},
};

/// Any error, as Tower's middleware uses it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
