//! What users hold: services, leases, registries, and what they say of themselves.

mod handle;
mod last_answers;
mod lease;
mod registry;
mod status;

pub use self::{
    handle::{LocalService, StatusWatch},
    lease::Lease,
    registry::Registry,
    status::Status,
};
