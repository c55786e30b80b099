//! What users hold: services, leases, registries, and what they say of themselves.

mod handle;
mod instance;
mod lease;
mod registry;
mod status;

pub use self::{
    handle::{LocalService, StatusWatch},
    lease::Lease,
    registry::Registry,
    status::Status,
};
pub(crate) use self::{instance::Core, lease::Watch};
