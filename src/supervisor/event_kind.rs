//! What may happen to a service, as programs and people see it.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::error::Error;

/// Something that happened to a service: see [`Event`](crate::Event).
///
/// It serializes to an object whose `kind` is its name in camel case, with durations as whole milliseconds and an error as
/// its text.
#[derive(Clone, Debug, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum EventKind {
    /// It waits for its address, or for a resource that it needs, which another service or program has.
    #[non_exhaustive]
    Waiting {
        /// Who has it, if that is known.
        holder: Option<String>,
    },
    /// Its process is about to be started.
    Starting,
    /// Its process runs, and is not ready.
    #[non_exhaustive]
    Loading {
        /// The process, if it is one of this machine.
        pid: Option<u32>,
    },
    /// Its server serves requests.
    #[non_exhaustive]
    Ready {
        /// How long that took from the start of the process, or from the first look at an external server.
        #[serde(rename = "tookMs", serialize_with = "millis")]
        took: Duration,
        /// Whether your program did not start it.
        external: bool,
    },
    /// No response of it is in progress any more. Its idle time begins.
    Idle,
    /// It gives out no new leases, since another service needs its place, and stops when the existing ones have ended.
    MakingWay,
    /// Its process is being stopped.
    #[non_exhaustive]
    Stopping {
        /// Why, in a word or two, such as `idle`, `asked` or `swap`.
        reason: &'static str,
    },
    /// Nothing of its process is left.
    Stopped,
    /// An external server is not used any more; it may well continue to run.
    Released,
    /// A start failed, or could not be made.
    #[non_exhaustive]
    Failed {
        /// Why.
        #[serde(serialize_with = "text")]
        error: Error,
    },
}

/// As people and programs are shown it.
pub(super) fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(whole_millis(*duration))
}

fn text<S: Serializer>(error: &Error, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}
