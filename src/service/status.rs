//! What a service is doing, as its users see it.

use std::time::Duration;

use crate::{
    error::Error,
    machine::{Ownership, Phase},
};

/// What a service is doing, and what it has done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Who started the server; `None` while there is none.
    pub ownership: Option<Ownership>,
    /// The process, while one of ours runs.
    pub pid: Option<u32>,
    /// Uses in progress in this program: responses whose bodies have not ended, and leases held by
    /// hand, under whatever name of the service.
    pub leases: usize,
    /// Requests that wait for it, under whatever name of the service.
    pub waiters: usize,
    /// How long it has been ready; `None` while it is not.
    pub up_for: Option<Duration>,
    /// How long it has been ready without a lease; `None` while one is out. At
    /// [`idle_stop`](crate::LocalServiceConfig::idle_stop) the process is stopped, unless another
    /// program has used it meanwhile.
    pub idle_for: Option<Duration>,
    /// How often its process was started in this program.
    pub starts: u64,
    /// What went wrong last, however long ago.
    pub last_error: Option<Error>,
}
