//! What users hold: services, leases, registries, and what they say of themselves.

mod handle;
mod lease;
mod registry;
mod status;

pub(crate) use self::lease::Watch;
pub use self::{
    handle::{LocalService, StatusWatch},
    lease::Lease,
    registry::Registry,
    status::Status,
};
