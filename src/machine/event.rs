//! What happens to a service, as plain data: the input of the machine.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Policy, Sight};

/// Time since the supervisor was made: plain data, unlike an `Instant`.
pub(crate) type Time = Duration;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Event {
    /// A caller could not take a lease by itself, and waits for an answer.
    Asked {
        waiter: u64,
        ask: Ask,
        /// A request has failed, or an external server was not seen for a while: that is why the caller could not
        /// take a lease.
        suspect: bool,
        leases: usize,
    },
    /// A caller does not wait any more.
    Left { waiter: u64 },
    /// A handle was shut down: the callers that wait through it get an error.
    Dismissed { handle: u64 },
    /// A body ended with its connection, as a body without a length does. Whether it is complete depends on
    /// whether its instance still lives.
    BodyEnded { body: u64 },
    /// Stop now, whatever leases are out.
    StopAsked,
    /// Give out no new leases, let the existing ones end (at most for the limit), then stop.
    RetireAsked { limit: Option<Duration> },
    /// The last handle is gone, and with it the last lease.
    HandlesGone,
    /// A handle came or went, and the longest times changed.
    PolicyChanged(Policy),
    /// What became of the claim on the address, or on room.
    Claim(Claim),
    /// What the probe saw.
    Probed {
        sight: Sight,
        /// The answer came from another program than our process.
        foreign: bool,
        /// What exactly it saw, for people.
        detail: String,
    },
    /// What came of the ready request.
    ReadyRequested(ReadyAnswer),
    /// What a connection to the address showed.
    Knocked { refused: bool },
    /// When the port of the server was last used, by any program; `None` if that is not known.
    Used { last: Option<Time> },
    /// Requests ended without an answer.
    Unanswered(Unanswered),
    /// The process runs.
    Spawned,
    /// The process could not be started.
    SpawnFailed {
        /// A file that the configuration names is missing or cannot be used; that is no crash.
        invalid: bool,
    },
    /// The process has ended, and how is not known yet: `Exited` follows.
    Dying,
    /// The process, or its watchdog, ended.
    Exited(Exited),
    /// The stop command has ended, however it did.
    StopCommandEnded,
    /// Nothing of the process is left.
    Gone {
        /// Requests may still wait for an answer of it.
        unread: bool,
    },
    /// What the lease word says.
    Leases(Leases),
    /// The lease word was closed while no lease was out.
    Closed,
    /// The deadline has come.
    Tick,
}

/// What came of the request that a server has to answer before it counts as ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum ReadyAnswer {
    /// It was answered as it should be.
    Expected,
    /// It was answered with another status.
    Rejected,
    /// There was no answer: the connection broke, or could not be made.
    None,
}

/// What a caller asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Ask {
    /// The handle that was asked: its probe is used.
    pub(crate) handle: u64,
    /// The handle was shut down meanwhile.
    pub(crate) shut_down: bool,
    pub(crate) want: Want,
    pub(crate) swap_timeout: Duration,
    pub(crate) max_waiters: Option<usize>,
}

/// What a caller gets when the server is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Want {
    Lease,
    /// No lease: the caller waits for readiness only.
    Readiness,
    /// No lease, and the failures so far are forgiven: a person or a program decided to start it.
    Start,
    /// No lease. It makes no other service leave, and keeps none waiting.
    Preload,
}

/// What became of the claim on the address, or on what the service needs beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Claim {
    /// This service has the address.
    Owner,
    /// A peer has it for the same server.
    Guest {
        /// That server is ready, and cannot be stopped while this program is known to use it.
        open: bool,
    },
    /// Another service has it for another server.
    Rival,
    /// Another service waits for what this one has. It serves on, and offers it whenever no lease is out.
    Wanted,
    /// Another service waits for what this one has, which gives out no new leases.
    Contested,
    /// No other service waits for it any more.
    Uncontested,
    /// This service makes way now. Its lease word is closed and no lease is out, or no caller waits for its start.
    Leave,
    /// This service has what it needs beside the address.
    Room,
    /// It can never have that, or the address, beside services that do not make way.
    NoRoom,
    /// No peer has it: the server that is used there belongs to none.
    Free,
    /// The peer's server that was used is closed to this program.
    Lost,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Exited {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// One of its responses came to its end.
    pub(crate) served: bool,
    /// Its output mentions a taken port.
    pub(crate) port_taken: bool,
}

/// What is known of requests that ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Unanswered {
    /// How many there are since the last report.
    pub(crate) requests: u32,
    /// When a request was last answered.
    pub(crate) answered: Time,
    /// What the processes of the instance have used of the CPU so far, where the system tells.
    pub(crate) cpu: Option<Duration>,
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
