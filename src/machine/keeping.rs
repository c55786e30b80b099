//! When a service that is kept ready is started without a request.

use std::time::Duration;

use super::{Common, Stage, Time};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Keeping {
    /// A person or a program stopped it, and nothing has asked for it since.
    pub(crate) is_stopped: bool,
    /// The pause before the next try, after tries that came to nothing.
    pub(crate) pause: Duration,
    pub(crate) not_before: Time,
}

impl Keeping {
    /// A try begins, which may come to nothing in no time.
    fn tries(&mut self, now: Time) {
        self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
        self.not_before = now + self.pause;
    }

    pub(super) fn succeeds(&mut self) {
        *self = Self::default();
    }
}

impl Common {
    /// Whether it is started, and continues to run, although no caller waits for it.
    pub(super) fn keeps_ready(&self) -> bool {
        self.policy.keep_ready && !self.keeping.is_stopped && !self.abandoned
    }

    /// When it is started without a request; `None` for never.
    pub(super) fn next_try(&self) -> Option<Time> {
        let not_before = self.keeping.not_before.max(self.backoff.not_before);
        self.keeps_ready().then_some(not_before)
    }

    /// Nothing runs, and no caller waits.
    pub(super) fn keep(&mut self) -> Stage {
        if self.next_try().is_none_or(|it| it > self.now) {
            return Stage::Stopped;
        }
        self.keeping.tries(self.now);
        self.claim()
    }
}
