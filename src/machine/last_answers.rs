//! How long a request may wait for an answer of a process that is gone.
//!
//! A client may wait forever for a server that has died: hyper forgets a request that is handed to a connection in
//! the instant in which that closes (<https://github.com/hyperium/hyper/issues/4122>). An answer of the process may
//! still be in the client's socket, so such a request fails only two seconds after the process is gone. When that
//! issue is closed, this file goes, with `Action::EndAnswers` and `Event::Gone { unread }`.

use std::{collections::VecDeque, time::Duration};

use super::Time;

const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// When the wait for the answers of each past instance is over, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LastAnswers {
    pub(crate) due: VecDeque<Time>,
}

impl LastAnswers {
    /// Nothing is left of an instance that some requests still wait for.
    pub(super) fn await_those(&mut self, now: Time) {
        self.due.push_back(now + LAST_ANSWERS);
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.due.front().copied()
    }

    /// Whether the wait for those of the oldest past instance is over.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        let is_over = self.due.front().is_some_and(|due| *due <= now);
        if is_over {
            self.due.pop_front();
        }
        is_over
    }
}
