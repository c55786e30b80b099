//! One task per service owns its process; requests only count.
//!
//! The task is started at first need, on the crate's own thread, so that building a service needs no
//! runtime and none of a caller's has to live. A start belongs to the task: dropping the request that
//! asked for it does not cancel it for others.
//!
//! ```text
//!   LocalService ──▶ Core ──▶ Shared ◀── Supervisor (task) ──▶ Backend: process, probe
//!        │                      ▲             │
//!      Lease ── one atomic word ┘             └── State (pure) · Ticket (endpoint) ──▶ Hosts (files)
//! ```
//!
//! Handles and leases are strong; the registry's tables and the task are weak. With the last handle
//! goes the mailbox, and with that the process.

mod backend;
mod backoff;
mod claim;
mod core;
mod handle;
mod hosts;
mod journal;
mod lease;
mod local;
mod mailbox;
mod report;
mod runtime;
mod shared;
mod state;
mod task;
#[cfg(test)]
mod tests;
mod trace;
mod wakers;
mod word;

#[cfg(fuzzing)]
pub(crate) use self::state::play;
pub(crate) use self::{claim::Claims, core::Core, lease::Watch, local::Local, word::Outcome};
pub use self::{
    handle::{LocalService, StatusWatch},
    journal::Record,
    lease::Lease,
};
