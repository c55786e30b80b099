//! What the machine asks for, as plain data.

use std::time::Duration;

use super::{Exited, Ownership};

/// Something to do. The driver does them in order, before it takes the next event; those that are answered at
/// once (`Close`, `CloseIfIdle`, `ReadLeases`, sometimes `Spawn`) are answered before that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Ask for the address; answered by `Claim`s until `Release`.
    Claim {
        /// A peer that has the address for the same server is asked to make way, too: its server failed here.
        evict: bool,
    },
    /// Ask for what the service needs beside its address; answered by `Claim`s.
    ClaimRoom,
    /// No lease is out, and another service waits for what this one has; answered by `Claim(Leave)` if that has room
    /// then.
    Offer,
    /// Give back the address and the room, or stop waiting for them. The use of a peer's server stays.
    Release,
    /// Make sure that the peer's server which is used cannot be stopped; answered by `Claim`.
    RenewUse { after: Duration },
    /// End the use of a peer's server.
    EndUse,
    /// Look at the health URL with the handle's probe; answered by `Probed`. Replaces a probe under way.
    Probe {
        handle: u64,
        after: Duration,
        /// An answer counts only if our process gave it: the address refused before it was started.
        own: bool,
    },
    /// Send the ready request; answered by `ReadyRequested`.
    SendReadyRequest {
        /// That of this handle, or of another one where it has none.
        handle: u64,
    },
    /// Open a connection to the address, and send nothing; answered by `Knocked`.
    Knock,
    /// Look when bytes last went over a connection to the server, from any program; answered by `Used`.
    LookForUse,
    /// Start the process; answered by `Spawned` or `SpawnFailed`, later by `Exited`.
    Spawn,
    /// Run the stop command; answered by `StopCommandEnded`. `Gone` may come before that. Broken off when it is not
    /// waited for any more.
    RunStopCommand(StopReason),
    /// TERM and CONT to the group; `Gone` follows if that is enough.
    Terminate(StopReason),
    /// KILL to the group; `Gone` follows.
    Kill,
    /// An instance begins: its leases may be taken.
    Open(Ownership),
    /// The instance continues after `Close`, perhaps as an external one.
    Reopen(Ownership),
    /// No new leases; answered by `Leases`, again when the last lease has ended.
    Close,
    /// No new leases, if none is out and none was taken since the leases were last read; answered by `Closed` or
    /// `Leases`.
    CloseIfIdle,
    /// The instance is over; the leases that are out count no more.
    End(InstanceEnd),
    /// Make the next request ask whether the server is still there.
    Suspect,
    /// The server is there: leases can be taken without asking again.
    Trust,
    /// Answered by `Leases`; if leases are out, again when the last one has ended.
    ReadLeases,
    /// The waiters get what they asked for.
    Grant(Vec<u64>),
    /// The waiters get an error.
    Fail(Vec<u64>, Failure),
    /// The bodies are complete if their instance lives; without that knowledge, a probe tells.
    Confirm {
        bodies: Vec<u64>,
        lives: Option<bool>,
    },
    /// Requests no longer wait for an answer of the oldest past instance, whose process is gone.
    EndAnswers,
    /// The callers that asked for a stop learn what became of it.
    StopsDone(Stopped),
    /// Nothing will ever happen again.
    Finish,
}

/// What became of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stopped {
    /// Nothing of the process is left.
    Gone,
    /// The process cannot be killed.
    Survived,
    /// The server is an external one, which is not stopped.
    External,
    /// The server was to be stopped by its command alone, and its port still answers.
    StillAnswers,
}

/// Why a process is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StopReason {
    Abandoned,
    Asked,
    Exited,
    Idle,
    NotReady,
    Rejected,
    Refuses,
    Retired,
    Swap,
    Unresponsive,
}

impl StopReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Abandoned => "abandoned",
            Self::Asked => "asked",
            Self::Exited => "exited",
            Self::Idle => "idle",
            Self::NotReady => "not ready",
            Self::Rejected => "rejected",
            Self::Refuses => "refuses",
            Self::Retired => "retired",
            Self::Swap => "swap",
            Self::Unresponsive => "unresponsive",
        }
    }
}

/// Why an instance is over, for the bodies that still read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum InstanceEnd {
    /// The process ended, or is believed dead.
    Died,
    /// An external server is not used any more; it may well run on.
    Forgotten,
    /// Without leases: idle, retired, swapped.
    Idle,
    /// A caller asked for it, whatever leases were out.
    Stopped,
}

/// Why waiters get an error; the driver knows the rest of the facts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Failure {
    Spawn,
    Exited(Exited),
    ReadyTimeout {
        limit: Duration,
    },
    /// The server asks for credentials.
    Denied,
    /// The server answers the ready request with another status than it should.
    ReadyRejected,
    /// Another service has the address.
    Held,
    /// Other services have what it needs beside the address.
    NoRoom,
    /// What answers at the address is not the expected server.
    AddressInUse,
    CrashLoop {
        failures: u32,
        retry_after: Duration,
    },
    Overloaded {
        waiters: usize,
    },
    Unkillable,
    /// The server was to be stopped by its command alone, and its port still answers.
    StillAnswers,
    /// The service was retired, and another one needs the address.
    Stopped,
    ShutDown,
}

impl Failure {
    /// Whether it says something of the service, and not only of the caller.
    pub(crate) fn is_news(&self) -> bool {
        !matches!(
            self,
            Self::CrashLoop { .. }
                | Self::Overloaded { .. }
                | Self::NoRoom
                | Self::Stopped
                | Self::ShutDown
        )
    }
}
