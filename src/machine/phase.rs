//! What a service is doing, and who started its server.

use serde::{Deserialize, Serialize};

/// What a service is doing.
#[doc = include_str!("../docs/phases.md")]
///
/// # Example
///
/// ```
/// use tower_local_service::Phase;
///
/// fn shown(phase: Phase) -> &'static str {
///     match phase {
///         Phase::Starting => "loading …",
///         Phase::Ready => "ready",
///         Phase::Failed => "failed",
///         _ => "not loaded",
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Phase {
    /// Nothing runs. The next request starts it.
    Stopped,
    /// A request or [`start`](crate::LocalService::start) asked for it, and it is not ready yet. First it
    /// waits for its address, then it looks whether a server is running there. While its process loads, it
    /// has an [`Ownership`] and a pid.
    Starting,
    /// It answers its health URL, and requests are sent.
    Ready,
    /// Its process is being stopped.
    Stopping,
    /// The last start failed. Until the backoff is over, or while a process cannot be killed, requests
    /// fail at once.
    Failed,
}

/// Who started the server that is used.
/// # Example
///
/// ```
/// use tower_local_service::{LocalService, Ownership};
///
/// fn shown(llama: &LocalService) -> String {
///     match llama.status().ownership {
///         Some(Ownership::Owned) => "started by this program".to_owned(),
///         Some(Ownership::External { pid: Some(pid), .. }) => format!("was running, pid {pid}"),
///         Some(_) => "was running".to_owned(),
///         None => "does not run".to_owned(),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Ownership {
    /// Your program started it, and stops it.
    Owned,
    /// It was already running. It is used, and never stopped.
    #[non_exhaustive]
    External {
        /// Its process, where the system tells.
        pid: Option<u32>,
    },
}
