//! What a service is doing, as its users see it.

use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::{
    error::Error,
    launch::Guarantees,
    machine::{Ownership, Phase},
};

/// What a service is doing, and what it has done.
///
/// It serializes to plain data: keys in camel case, the phase and the ownership as lower-case words,
/// durations as whole milliseconds under keys that end in `Ms`, the error as its text, and `null`
/// where there is nothing.
///
/// # Examples
///
/// A status line:
///
/// ```
/// use tower_local_service::{Phase, Status};
///
/// fn line(status: &Status) -> String {
///     match (status.phase, status.idle_for) {
///         (Phase::Starting, _) => format!("loading, {} requests wait", status.waiters),
///         (Phase::Ready, Some(idle)) => format!("idle for {} s", idle.as_secs()),
///         (Phase::Ready, None) => format!("{} answers in progress", status.leases),
///         _ => "not loaded".to_owned(),
///     }
/// }
/// ```
///
/// What a server that is idle looks like in JSON:
///
/// ```json
/// {
///   "phase": "ready",
///   "ownership": "owned",
///   "pid": 4711,
///   "guarantees": {
///     "diesWithProgram": true,
///     "hasGrace": true,
///     "findsDescendants": true,
///     "keepsDescendants": false,
///     "sharesServers": true,
///     "seesUse": true
///   },
///   "leases": 0,
///   "waiters": 0,
///   "waitsFor": null,
///   "loadingForMs": null,
///   "upForMs": 81250,
///   "idleForMs": 12003,
///   "stopsInMs": 587997,
///   "starts": 1,
///   "lastError": null
/// }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing: `stopped`, `starting`, `ready`, `stopping` or `failed`.
    pub phase: Phase,
    /// Who started the server, `owned` or `external`; `None` while there is none.
    pub ownership: Option<Ownership>,
    /// The process, while one that your program started runs.
    pub pid: Option<u32>,
    /// What is guaranteed of the server, while one that your program started runs.
    pub guarantees: Option<Guarantees>,
    /// Uses in progress in your program: responses whose bodies have not ended, and leases held by
    /// hand, of all names that the service has.
    pub leases: usize,
    /// Requests that wait for it, of all names that the service has.
    pub waiters: usize,
    /// What it waits for that other services have, in this program or another one, such as ``18 GiB of gpu0, which
    /// `chat` has and uses``; `None` if it waits for no other service.
    pub waits_for: Option<String>,
    /// How long the start under way has taken so far, or the wait for an external server that loads.
    pub loading_for: Option<Duration>,
    /// How long it has been ready; `None` while it is not.
    pub up_for: Option<Duration>,
    /// How long it has been ready without a lease; `None` while there is one. At
    /// [`idle_stop`](crate::LocalServiceConfig::idle_stop) the process is stopped, unless a peer has
    /// used it meanwhile.
    pub idle_for: Option<Duration>,
    /// When it will be stopped if nothing uses it meanwhile; `None` while there is a lease, and for a server that is
    /// not stopped by itself. A peer or a program that uses it directly delays that, too.
    pub stops_in: Option<Duration>,
    /// How often your program has started its process.
    pub starts: u64,
    /// What went wrong last, however long ago.
    pub last_error: Option<Error>,
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let phase = match self.phase {
            Phase::Stopped => "stopped",
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Stopping => "stopping",
            Phase::Failed => "failed",
        };
        let ownership = self.ownership.map(|ownership| match ownership {
            Ownership::Owned => "owned",
            Ownership::External { .. } => "external",
        });
        let millis = |it: Duration| u64::try_from(it.as_millis()).unwrap_or(u64::MAX);
        let last_error = self.last_error.as_ref().map(Error::to_string);
        let mut status = serializer.serialize_struct("Status", 13)?;
        status.serialize_field("phase", phase)?;
        status.serialize_field("ownership", &ownership)?;
        status.serialize_field("pid", &self.pid)?;
        status.serialize_field("guarantees", &self.guarantees)?;
        status.serialize_field("leases", &self.leases)?;
        status.serialize_field("waiters", &self.waiters)?;
        status.serialize_field("waitsFor", &self.waits_for)?;
        status.serialize_field("loadingForMs", &self.loading_for.map(millis))?;
        status.serialize_field("upForMs", &self.up_for.map(millis))?;
        status.serialize_field("idleForMs", &self.idle_for.map(millis))?;
        status.serialize_field("stopsInMs", &self.stops_in.map(millis))?;
        status.serialize_field("starts", &self.starts)?;
        status.serialize_field("lastError", &last_error)?;
        status.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    fn status(phase: Phase) -> Status {
        Status {
            phase,
            ownership: None,
            pid: None,
            guarantees: None,
            leases: 0,
            waiters: 0,
            waits_for: None,
            loading_for: None,
            up_for: None,
            idle_for: None,
            stops_in: None,
            starts: 0,
            last_error: None,
        }
    }

    #[test]
    fn a_status_is_plain_data() {
        let error = Error::new("llama", ErrorKind::Stopped {});
        let text = error.to_string();
        let status = Status {
            ownership: Some(Ownership::Owned),
            pid: Some(4711),
            guarantees: Some(Guarantees {
                dies_with_program: true,
                ..Guarantees::default()
            }),
            leases: 1,
            waiters: 2,
            waits_for: Some("room".to_owned()),
            loading_for: Some(Duration::from_millis(7)),
            stops_in: Some(Duration::ZERO),
            up_for: Some(Duration::from_micros(81_250_999)),
            idle_for: Some(Duration::MAX),
            starts: 3,
            last_error: Some(error),
            ..status(Phase::Ready)
        };
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            json!({
                "phase": "ready", "ownership": "owned", "pid": 4711,
                "guarantees": {
                    "diesWithProgram": true, "hasGrace": false, "findsDescendants": false,
                    "keepsDescendants": false, "sharesServers": false, "seesUse": false,
                },
                "leases": 1, "waiters": 2,
                "waitsFor": "room", "loadingForMs": 7, "upForMs": 81_250, "idleForMs": u64::MAX,
                "stopsInMs": 0, "starts": 3, "lastError": text,
            })
        );
    }

    #[test]
    fn what_is_not_there_is_null_and_each_phase_a_word() {
        for (phase, word) in [
            (Phase::Stopped, "stopped"),
            (Phase::Starting, "starting"),
            (Phase::Ready, "ready"),
            (Phase::Stopping, "stopping"),
            (Phase::Failed, "failed"),
        ] {
            assert_eq!(
                serde_json::to_value(status(phase)).unwrap(),
                json!({
                    "phase": word, "ownership": null, "pid": null, "guarantees": null, "leases": 0, "waiters": 0,
                    "waitsFor": null, "loadingForMs": null, "upForMs": null, "idleForMs": null,
                    "stopsInMs": null, "starts": 0, "lastError": null,
                })
            );
        }
        let external = Status {
            ownership: Some(Ownership::External { pid: None }),
            ..status(Phase::Ready)
        };
        assert_eq!(
            serde_json::to_value(external).unwrap()["ownership"],
            "external"
        );
    }
}
