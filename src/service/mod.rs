//! What users hold: services, leases and registries, and what a service says of itself.

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
