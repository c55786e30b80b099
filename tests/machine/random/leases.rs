//! The lease word as a list of leases.

use std::time::Duration;

use crate::{
    machine::{Leases as Told, Time},
    word::Outcome,
};

/// The leases of each instance, and what is remembered of instances that ended.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Leases {
    out: Vec<u64>,
    pub(super) instance: u64,
    pub(super) open: bool,
    pub(super) suspect: bool,
    pub(super) served: bool,
    touched: bool,
    seen: bool,
    answered: bool,
    pub(super) idle_since: Time,
    alive_since: Time,
}

impl Leases {
    /// Those that count.
    pub(super) fn count(&self) -> usize {
        self.out
            .iter()
            .filter(|&&instance| instance == self.instance)
            .count()
    }

    /// With those of instances that are over.
    pub(super) fn held(&self) -> usize {
        self.out.len()
    }

    pub(super) fn take(&mut self) -> bool {
        let may = self.open && !self.suspect;
        if may {
            self.grant();
        }
        may
    }

    pub(super) fn grant(&mut self) {
        self.out.push(self.instance);
        self.touched = true;
    }

    /// Says whether the supervisor is to be woken.
    pub(super) fn give_back(&mut self, nth: usize, outcome: Outcome, now: Time) -> bool {
        let instance = self.out.swap_remove(nth);
        if instance != self.instance {
            return false;
        }
        self.suspect |= outcome == Outcome::Unanswered;
        self.served |= matches!(outcome, Outcome::Completed | Outcome::ByHand);
        self.answered |= outcome.is_sign_of_life();
        if self.count() > 0 {
            return false;
        }
        self.idle_since = now;
        if std::mem::take(&mut self.answered) {
            self.alive_since = now;
        }
        std::mem::take(&mut self.seen)
    }

    pub(super) fn answered(&self) -> Time {
        self.alive_since
    }

    pub(super) fn look(&mut self) -> Told {
        let out = self.count();
        self.touched = false;
        self.seen |= out > 0;
        Told {
            out,
            idle_since: self.idle_since,
            alive_since: self.alive_since,
        }
    }

    pub(super) fn close_if_idle(&mut self) -> bool {
        let idle = self.count() == 0 && !self.touched;
        self.open &= !idle;
        idle
    }

    pub(super) fn open(&mut self, now: Time) {
        *self = Self {
            out: std::mem::take(&mut self.out),
            instance: self.instance,
            open: true,
            idle_since: now,
            alive_since: now,
            ..Self::default()
        };
    }

    pub(super) fn trust(&mut self) {
        self.suspect = false;
    }

    pub(super) fn end(&mut self) {
        *self = Self {
            out: std::mem::take(&mut self.out),
            instance: self.instance + 1,
            idle_since: self.idle_since,
            alive_since: self.alive_since,
            ..Self::default()
        };
    }

    pub(super) fn idle_for(&self, now: Time) -> Duration {
        now.saturating_sub(self.idle_since)
    }
}
