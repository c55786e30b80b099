//! The commands that callers send to the task, and how callers are answered.

use std::{collections::HashMap, time::Duration};

use tokio::sync::oneshot;

use super::inbox::Reader;
use crate::{
    error::Error,
    leases::Grant,
    machine::{Ask, Want},
};

/// What callers tell the task.
#[derive(Debug)]
pub(crate) enum Command {
    Ask {
        waiter: u64,
        ask: Ask,
        reply: Answer,
    },
    Leave {
        waiter: u64,
    },
    Dismiss {
        handle: u64,
    },
    Stop {
        reply: Stopped,
    },
    Retire {
        limit: Option<Duration>,
        reply: Stopped,
    },
    /// A handle came or went.
    Handles,
    /// Whether the instance lives, asked at the end of a body that nothing else delimits.
    Confirm {
        instance: u64,
        reply: oneshot::Sender<bool>,
    },
    /// The connection of a request or a body broke. The answer is dropped once it is of no use to wait for the death
    /// of its server any longer.
    BrokenOff {
        instance: u64,
        reply: oneshot::Sender<()>,
    },
}

/// `None` for callers that want no lease.
pub(crate) type Answer = oneshot::Sender<Result<Option<Grant>, Error>>;
pub(crate) type Stopped = oneshot::Sender<Result<(), Error>>;

/// The callers that wait, each with what it waits for.
pub(super) struct Callers {
    pub(super) inbox: Reader<Command>,
    /// `false` once the last handle is gone.
    pub(super) is_open: bool,
    pub(super) answers: HashMap<u64, (Answer, Want)>,
    pub(super) stops: Vec<Stopped>,
    /// Bodies that wait to hear whether they are complete.
    pub(super) bodies: HashMap<u64, oneshot::Sender<bool>>,
    next_body: u64,
}

impl Callers {
    pub(super) fn new(inbox: Reader<Command>) -> Self {
        Self {
            inbox,
            is_open: true,
            answers: HashMap::new(),
            stops: Vec::new(),
            bodies: HashMap::new(),
            next_body: 0,
        }
    }

    pub(super) async fn next(&mut self) -> Option<Command> {
        if self.is_open {
            self.inbox.next().await
        } else {
            std::future::pending().await
        }
    }

    /// The number of a body that waits.
    pub(super) fn body(&mut self, reply: oneshot::Sender<bool>) -> u64 {
        let body = self.next_body;
        self.next_body += 1;
        self.bodies.insert(body, reply);
        body
    }
}
