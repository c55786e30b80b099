//! What a service is doing, and who started its server.

use serde::{Deserialize, Serialize};

/// What a service is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing runs, and nothing keeps the next request from starting it.
    Stopped,
    /// A request or [`start`](crate::LocalService::start) asked for it, and it is not ready yet. While
    /// its process loads, it has an ownership ([`Owned`](Ownership::Owned)) and a pid; before that, it waits for its
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
pub enum Ownership {
    /// We did, and we stop it.
    Owned,
    /// It was already there. It is used, and never stopped.
    External,
}
