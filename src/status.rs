//! What a service is doing, as its users see it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing runs, and nothing keeps the next request from starting it.
    Stopped,
    /// A request or [`start`](crate::LocalService::start) asked for it, and it is not ready yet. While
    /// its process loads, it has an origin ([`Owned`](Origin::Owned)) and a pid; before that, it waits for its
    /// endpoint or looks at what is there.
    Starting,
    /// It answers its health URL, and requests are sent.
    Ready,
    /// Its process is being stopped.
    Stopping,
    /// The last start failed: until its back-off is over, or while a process cannot be killed,
    /// requests fail at once.
    Failed,
}

/// Who started the server that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Origin {
    /// We did, and we stop it.
    Owned,
    /// It was already there. It is used, and never stopped.
    External,
}

/// What a service is doing, and what it has done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Who started the server; `None` while there is none.
    pub origin: Option<Origin>,
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
