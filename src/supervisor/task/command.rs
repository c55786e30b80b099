//! What callers tell the task, and how they are answered.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::{error::Error, machine::Ask, supervisor::shared::Grant};

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
    /// Whether the run goes on, asked at the end of a body that nothing else delimits.
    Confirm {
        run: u64,
        reply: oneshot::Sender<bool>,
    },
}

/// `None` for those who want no lease.
pub(crate) type Answer = oneshot::Sender<Result<Option<Grant>, Error>>;
pub(crate) type Stopped = oneshot::Sender<Result<(), Error>>;
