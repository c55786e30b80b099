//! The Tower middleware.

pub mod body;
pub mod future;
mod layer;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest-middleware")]
mod reqwest_middleware;
mod resolve;
mod response;
#[cfg(feature = "retry")]
pub mod retry;
mod service;

#[cfg(feature = "reqwest-middleware")]
pub use self::reqwest_middleware::EnsureLocalServiceMiddleware;
pub use self::{
    layer::{EnsureLocalServiceLayer, EnsureOn},
    resolve::{EveryRequest, Resolve},
    response::{ColdStart, HoldLease},
    service::EnsureLocalService,
};
