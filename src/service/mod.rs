//! What users hold: services, leases and registries, and what a service says of itself.

mod broken_off;
mod events;
mod handle;
mod last_answers;
mod lease;
mod local_service;
mod output;
mod registry;
mod resource_status;
mod status;
mod succession;

pub(crate) use self::{
    broken_off::BrokenOff,
    registry::{Capacities, choose_port},
};
pub use self::{
    events::{Event, Events},
    lease::Lease,
    local_service::{LocalService, StatusWatch},
    output::{Line, Output},
    registry::Registry,
    resource_status::ResourceStatus,
    status::Status,
};
