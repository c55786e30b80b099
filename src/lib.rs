//! Starts a local server on demand, before the request that needs it is sent.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(unix))]
compile_error!(
    "tower-local-service needs Unix: process groups and a guardian shell keep servers from outliving their host"
);

#[cfg(unix)]
pub mod body;
#[cfg(unix)]
mod config;
#[cfg(unix)]
mod error;
#[cfg(unix)]
pub mod future;
#[cfg(unix)]
mod layer;
#[cfg(unix)]
mod probe;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod registry;
#[cfg(all(unix, feature = "reqwest"))]
mod reqwest;
#[cfg(unix)]
mod resolve;
#[cfg(unix)]
mod response;
#[cfg(unix)]
mod service;
#[cfg(unix)]
mod status;
#[cfg(unix)]
mod supervisor;

#[cfg(unix)]
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
