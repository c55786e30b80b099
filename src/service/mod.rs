//! What users hold: services, leases, registries, and what they say of themselves.

mod handle;
mod last_answers;
mod lease;
mod local_service;
mod registry;
mod status;

pub use self::{
    lease::Lease,
    local_service::{LocalService, StatusWatch},
    registry::Registry,
    status::Status,
};
