//! Does what the machine decides: one task for each identity, on the crate's own thread.
//!
//! # Theory of operation
//!
//! ```text
//!   service::LocalService ──▶ Client ──commands──▶ Supervisor (task) ──▶ Backend: process, probe
//!            │                  │                   │      │
//!          Lease            Instances ◀─────────────┤      └── Negotiation ──▶ resources: table, peers
//!            └── one atomic word ┘                  └── Machine (decides)
//! ```
//!
//! A request that finds its server ready takes a lease by itself, in one atomic word of
//! [`Instances`](crate::leases::Instances), and never comes here. Any other request sends a command through its
//! [`Client`] and waits. The first command starts the task, so that building a service needs no runtime and none of
//! your program's has to live. A start belongs to the task: dropping the request that asked for it does not cancel it
//! for others.
//!
//! The task ([`task`]) waits for whatever comes first: a command, the end of the process or of its group, a claim, the
//! result of a probe or a spawn, the end of the last lease, a deadline. It makes an event of it and drives the machine
//! with that; the [`driver`] performs what the machine asks for. What belongs to a service is in five parts:
//!
//! - the machine, which decides;
//! - [`work`]: the process, a spawn or a probe under way;
//! - [`negotiation`]: the claim on the address and on room, and the peers;
//! - [`callers`]: the inbox, and those that wait for an answer;
//! - [`report`]: what errors, status and events say.
//!
//! Handles and leases are strong: they hold the client. The registry's tables and the task are weak. With the last
//! handle the client closes the inbox; the machine then ends the process, and that ends the task.

mod backend;
mod board;
mod callers;
mod client;
mod driver;
mod event_kind;
mod events;
mod inbox;
#[cfg(feature = "metrics")]
mod meter;
mod negotiation;
mod report;
mod runtime;
mod task;
#[cfg(test)]
mod tests;
mod waits;
mod work;

pub use self::event_kind::EventKind;
pub(crate) use self::{
    backend::{Backend, ThisMachine},
    board::{Attached, Snapshot},
    client::Client,
    events::{Happened, subscribe},
    report::waited,
};
