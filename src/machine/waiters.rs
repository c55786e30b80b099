//! The callers that wait for an answer.

use std::{collections::BTreeMap, time::Duration};

use super::{Ask, Time, Want};

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Waiters {
    pub(crate) waiting: BTreeMap<u64, Waiter>,
    /// The handle that asked last: its probe is used while no caller waits.
    pub(crate) asker: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Waiter {
    pub(crate) handle: u64,
    pub(crate) since: Time,
    pub(crate) swap_timeout: Duration,
    /// It makes no other service leave.
    pub(crate) is_polite: bool,
}

impl Waiters {
    pub(super) fn join(&mut self, waiter: u64, ask: &Ask, now: Time) {
        let waiting = Waiter {
            handle: ask.handle,
            since: now,
            swap_timeout: ask.swap_timeout,
            is_polite: ask.want == Want::Preload,
        };
        self.waiting.insert(waiter, waiting);
    }

    /// Whether it was there.
    pub(super) fn leave(&mut self, waiter: u64) -> bool {
        self.waiting.remove(&waiter).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether other services have to respect those that wait.
    pub(super) fn are_polite(&self) -> bool {
        self.waiting.values().all(|waiter| waiter.is_polite)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn take_all(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.waiting).into_keys().collect()
    }

    pub(super) fn take_those_of(&mut self, handle: u64) -> Vec<u64> {
        self.take(|waiter| waiter.handle == handle)
    }

    /// Those whose swap timeout is over, where the wait for the address began at `since`.
    pub(super) fn take_late(&mut self, since: Time, now: Time) -> Vec<u64> {
        self.take(|waiter| waiter.due(since) <= now)
    }

    /// When the first swap timeout is over.
    pub(super) fn first_due(&self, since: Time) -> Time {
        let dues = self.waiting.values().map(|waiter| waiter.due(since));
        dues.min().unwrap_or(Time::MAX)
    }

    /// When the first of them has waited for half of its swap timeout.
    pub(super) fn first_half(&self, since: Time) -> Time {
        let halves = self.waiting.values().map(|waiter| waiter.half(since));
        halves.min().unwrap_or(Time::MAX)
    }

    /// The handle whose probe is used: that of the caller that has waited longest.
    pub(super) fn prober(&self) -> u64 {
        let first = self.waiting.values().next();
        first.map_or(self.asker, |waiter| waiter.handle)
    }

    fn take(&mut self, which: impl Fn(&Waiter) -> bool) -> Vec<u64> {
        let (taken, left): (BTreeMap<_, _>, _) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(_, waiter)| which(waiter));
        self.waiting = left;
        taken.into_keys().collect()
    }
}

impl Waiter {
    fn due(&self, since: Time) -> Time {
        self.since.max(since) + self.swap_timeout
    }

    fn half(&self, since: Time) -> Time {
        self.since.max(since) + self.swap_timeout / 2
    }
}
