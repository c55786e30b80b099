//! What the task waits for, and what comes of it.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use super::callers::Command;
use crate::{
    launch::{Exit, Holder, LaunchError, Look, Running},
    machine::{Claim, Sight},
    probe::Answer,
};

pub(super) type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What came of a start.
pub(super) type Spawned = Result<Box<dyn Running>, LaunchError>;

/// What ended a wait.
pub(super) enum Woken {
    Command(Option<Command>),
    Exited(Exit),
    Gone,
    Claim(Claim),
    Probed(Probe),
    /// The answer to the ready request.
    ReadyRequested(Answer),
    /// How the stop command ended.
    StopCommandEnded(Result<Exit, LaunchError>),
    /// Whether the address refuses.
    Knocked(bool),
    /// How long ago the port was used, by any program.
    Used(Option<Duration>),
    Spawned(Spawned),
    /// The process of an external server, where the system tells.
    FoundHolder(Option<Holder>),
    Looked(Look),
    /// The last lease has ended, here or in a peer, or a request without an answer has.
    LeasesEnded,
    Deadline,
}

/// What came of a probe.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub(super) answer: Answer,
    /// The program that gave the answer, where that should have been our process.
    pub(super) stranger: Option<u32>,
    /// The server is one that the launcher has started for a program that has ended.
    pub(super) is_left: bool,
    /// The program that gave an answer which the expected server does not give.
    pub(super) occupant: Option<Holder>,
}

impl Probe {
    pub(super) fn sight(&self) -> Sight {
        match self.stranger {
            Some(_) => Sight::Other,
            None if self.is_left => Sight::Left,
            None => self.answer.sight(),
        }
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.stranger {
            Some(pid) => write!(f, "an answer of another program (pid {pid})"),
            None => self.answer.fmt(f),
        }
    }
}

pub(super) async fn pending<T>(future: Option<&mut Pending<T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
