//! What the machine is told and what it asks for, as plain data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Ownership, Policy, Sight};

/// Time since the supervisor was made: plain data, unlike an `Instant`.
pub(crate) type Time = Duration;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A caller could not take a lease by itself, and waits for an answer.
    Asked {
        waiter: u64,
        ask: Ask,
        /// The run is under suspicion, so that the caller could not take a lease by itself.
        suspect: bool,
        leases: usize,
    },
    /// A waiter does not wait any more.
    Left { waiter: u64 },
    /// A handle was shut down: whoever waits through it is sent away.
    Dismissed { handle: u64 },
    /// Stop now, whatever leases are out.
    StopAsked,
    /// Give out no new leases, let the old ones end (at most for the limit), then stop.
    RetireAsked { limit: Option<Duration> },
    /// The last handle is gone, and with it the last lease.
    HandlesGone,
    /// A handle came or went, and the longest times are others now.
    PolicyChanged(Policy),
    /// What became of the claim on the endpoint.
    Claim(Claim),
    /// The probe that was asked for saw this.
    Probed {
        sight: Sight,
        took: Duration,
        leases: usize,
    },
    /// The process runs.
    Spawned,
    /// The process could not be started.
    SpawnFailed {
        /// The file system says no; that is no crash.
        invalid: bool,
    },
    /// The process, or its guardian, ended.
    Exited(Exited),
    /// Nothing of the process is left.
    Gone,
    /// What the lease word says.
    Looked(Leases),
    /// The lease word was closed while no lease was out.
    Closed,
    /// The deadline has come.
    Tick,
}

/// What a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// The handle asked: its probe is used.
    pub(crate) handle: u64,
    pub(crate) want: Want,
    pub(crate) swap_timeout: Duration,
    pub(crate) max_waiters: Option<usize>,
}

/// What a caller gets when the server is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Want {
    Lease,
    /// No lease; whoever waits to be ready only wants to know.
    Readiness,
    /// No lease either, and whatever failed before is forgiven: somebody decided to start it.
    Start,
}

/// What became of the claim on the endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Claim {
    /// It is ours.
    Granted,
    /// It will not be ours.
    Refused,
    /// It is ours, and somebody else waits for it.
    Wanted,
    /// Nobody waits for it any more.
    Unwanted,
    /// It is not ours any more.
    Lost,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Exited {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// One of its responses came to its end.
    pub(crate) served: bool,
    /// Its output tells of a taken port.
    pub(crate) port_taken: bool,
}

/// What the lease word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Leases {
    pub(crate) out: usize,
    /// When the last lease ended.
    pub(crate) idle_since: Time,
    /// When the server last gave a sign of life.
    pub(crate) alive_since: Time,
}

/// Something to do. The driver does them in order, before it takes the next event; those that are
/// answered at once (`Close`, `CloseIfIdle`, `Look`, mostly `Claim`) are answered before that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Ask for the endpoint; answered by `Claim`.
    Claim,
    /// Give the endpoint back, or ask for it no longer.
    Release,
    /// Look at the health URL with the handle's probe; answered by `Probed`. Replaces a probe
    /// under way.
    Probe { handle: u64, after: Duration },
    /// Start the process; answered by `Spawned` or `SpawnFailed`, later by `Exited`.
    Spawn,
    /// TERM and CONT to the group; `Gone` follows if that is enough.
    Terminate(Reason),
    /// KILL to the group; `Gone` follows.
    Kill,
    /// A run begins: its leases may be taken.
    Open(Ownership),
    /// The run goes on after `Close`, perhaps as another's.
    Reopen(Ownership),
    /// No new leases; answered by `Looked`, again when the last lease has ended.
    Close,
    /// No new leases, if none is out and none came since the last look; answered by `Closed` or
    /// `Looked`.
    CloseIfIdle,
    /// The run is over; what leases are out count no more.
    End(End),
    /// Make the next request come to us for a probe.
    Suspect,
    /// The run was seen alive.
    Trust,
    /// Answered by `Looked`; if leases are out, again when the last one has ended.
    Look,
    /// The waiters get what they asked for.
    Grant(Vec<u64>),
    /// The waiters get an error.
    Fail(Vec<u64>, Failure),
    /// Who asked for a stop is told that nothing runs, or that it cannot be killed.
    Settled { killed: bool },
    /// Nothing will ever happen again.
    Finish,
}

/// Why a process is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reason {
    Abandoned,
    Asked,
    Exited,
    Idle,
    NotReady,
    Rejected,
    Retired,
    Swap,
    Unhealthy,
}

/// Why a run is over, for the bodies that still read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    /// The process ended, or is believed dead.
    Died,
    /// Another's server is not looked after any more; it may well go on.
    Forgotten,
    /// Without leases: idle, retired, swapped.
    Idle,
    /// Somebody asked for it, whatever leases were out.
    Stopped,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Asked => "asked",
            Self::Exited => "exited",
            Self::Idle => "idle",
            Self::NotReady => "not ready",
            Self::Rejected => "rejected",
            Self::Retired => "retired",
            Self::Swap => "swap",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// Why waiters get an error; the driver knows the rest of the facts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Failure {
    Spawn,
    Exited(Exited),
    ReadyTimeout {
        limit: Duration,
        last: Sight,
    },
    Rejected {
        status: u16,
    },
    /// Another service has the endpoint.
    Held,
    /// What answers there is not what was wanted.
    AddressInUse {
        sight: Sight,
    },
    CrashLoop {
        failures: u32,
        retry_after: Duration,
    },
    Overloaded {
        waiters: usize,
    },
    Unkillable,
    ShutDown,
}

impl Failure {
    /// Whether it says something of the service, and not only of who asked.
    pub(crate) fn is_news(&self) -> bool {
        !matches!(
            self,
            Self::CrashLoop { .. } | Self::Overloaded { .. } | Self::ShutDown
        )
    }
}
