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
pub(crate) mod mailbox;
mod report;
pub(crate) mod runtime;
pub(crate) mod shared;
mod task;
#[cfg(test)]
mod tests;
pub(crate) mod trace;

pub(crate) use self::backend::Backend;
pub(crate) use self::task::{Command, Supervisor};
