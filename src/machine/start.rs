//! From the first request to a ready server.

use std::time::Duration;

use super::{
    Action, Claim, End, Failure, Ownership, Policy, Reason, Sight, Stage, State, Time, pause,
    stop::Ending,
};

/// The spawn is under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Spawning {
    pub(super) port_was_free: bool,
    pub(super) respawned: bool,
    /// It is not wanted any more, and stopped as soon as it exists.
    pub(super) unwanted: Option<Reason>,
}

/// Our process runs and is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Loading {
    pub(super) since: Time,
    pub(super) port_was_free: bool,
    /// It died of a taken port once, and was started again.
    pub(super) respawned: bool,
    /// Somebody else was seen on its port.
    pub(super) stranger: bool,
    /// Since when nobody waits for it.
    pub(super) alone_since: Option<Time>,
    abandon_at: Option<Time>,
    ready_by: Time,
    last: Sight,
}

impl Loading {
    pub(super) fn deadline(&self) -> Time {
        self.abandon_at
            .map_or(self.ready_by, |abandon_at| abandon_at.min(self.ready_by))
    }

    #[cfg(test)]
    pub(super) fn times(&mut self) -> impl Iterator<Item = &mut Time> {
        // Nothing but what an error tells depends on it.
        self.last = Sight::Refused;
        [&mut self.since, &mut self.ready_by]
            .into_iter()
            .chain(&mut self.alone_since)
            .chain(&mut self.abandon_at)
    }

    /// Sets its times to what they are by now.
    pub(super) fn set_times(&mut self, policy: &Policy) {
        self.ready_by = self.since + policy.ready_timeout;
        self.abandon_at = self
            .alone_since
            .zip(policy.abandon_grace)
            .map(|(since, grace)| since + grace);
    }
}

impl State {
    /// The way into every start.
    pub(super) fn claim(&mut self) {
        let now = self.now;
        let due = self
            .waiters
            .values()
            .map(|waiter| now + waiter.swap_timeout)
            .min();
        self.stage = Stage::Claiming {
            since: now,
            due: due.unwrap_or(Time::MAX),
        };
        self.act(Action::Claim);
    }

    pub(super) fn claim_answered(&mut self, claim: &Claim) {
        match (claim, &self.stage) {
            (Claim::Granted, Stage::Claiming { .. }) => {
                self.look(false);
            }
            (Claim::Refused, Stage::Claiming { .. }) => {
                self.fail_all(Failure::Held);
                self.rest();
            }
            (Claim::Wanted | Claim::Lost, _) => self.rival_came(),
            (Claim::Unwanted, _) => self.rival_left(),
            _ => {}
        }
    }

    fn look(&mut self, respawned: bool) {
        self.stage = Stage::Looking {
            since: self.now,
            until: self.now + self.policy.ready_timeout,
            last: Sight::Silent,
            respawned,
        };
        self.probe(Duration::ZERO);
    }

    /// Somebody else got the port while ours was starting, and may be loading there.
    pub(super) fn look_again(&mut self) {
        if self.rival && self.waiters.is_empty() {
            self.rest();
        } else {
            self.look(true);
        }
    }

    fn rival_came(&mut self) {
        self.rival = true;
        match &self.stage {
            // Nothing was started, and nobody waits for it.
            Stage::Looking { .. } if self.waiters.is_empty() => self.rest(),
            Stage::Ready(_) => self.close_for_rival(),
            _ => {}
        }
    }

    /// A waiter has left; a start goes on without it, a place in a queue does not.
    pub(super) fn somebody_left(&mut self) {
        if !self.waiters.is_empty() {
            return;
        }
        match &mut self.stage {
            Stage::Claiming { .. } => self.rest(),
            Stage::Looking { .. } if self.rival => self.rest(),
            Stage::Loading(loading) => {
                loading.alone_since = Some(self.now);
                loading.set_times(&self.policy);
            }
            _ => {}
        }
    }

    /// Whoever has waited for its swap timeout gets an error; the others wait on.
    pub(super) fn swap_timeouts(&mut self) {
        let (now, Stage::Claiming { since, .. }) = (self.now, &self.stage) else {
            return;
        };
        let since = *since;
        let ends = |waiter: &super::Waiter| waiter.since.max(since) + waiter.swap_timeout;
        let late = self.take_waiters(|waiter| ends(waiter) <= now);
        let due = self.waiters.values().map(ends).min();
        if !late.is_empty() {
            self.act(Action::Fail(late, Failure::Held));
        }
        match due {
            Some(due) => self.stage = Stage::Claiming { since, due },
            None => self.rest(),
        }
    }

    pub(super) fn probed(&mut self, sight: Sight, took: Duration, leases: usize) {
        match &self.stage {
            Stage::Looking { .. } => self.looked_at_what_is_there(sight, took),
            Stage::Loading(_) => self.probed_while_loading(sight, took),
            Stage::Ready(_) => self.checked(sight, took, leases),
            Stage::Settling { .. } => self.probed_while_settling(sight, took),
            _ => {}
        }
    }

    /// What is there before we start decides.
    fn looked_at_what_is_there(&mut self, sight: Sight, took: Duration) {
        let Stage::Looking { respawned, .. } = self.stage else {
            return;
        };
        match sight {
            Sight::Wanted => self.become_external(),
            Sight::Refused => self.spawn(true, respawned),
            // A proxy says that what is behind it is down.
            Sight::Status(502 | 504) => self.spawn(false, respawned),
            Sight::Status(503) | Sight::Silent | Sight::Broken => {
                self.wait_for_stranger(sight, took);
            }
            Sight::Status(_) | Sight::Garbled | Sight::Stranger(_) => {
                // It may be one handle's credentials that are wrong; another's may do.
                let handle = self.prober();
                self.fail_those_of(handle, &Failure::AddressInUse { sight });
                self.failed = true;
                if self.waiters.is_empty() {
                    self.rest();
                } else {
                    self.probe(Duration::ZERO);
                }
            }
        }
    }

    fn wait_for_stranger(&mut self, sight: Sight, took: Duration) {
        let Stage::Looking { since, last, .. } = &mut self.stage else {
            return;
        };
        *last = sight;
        let after = pause(took, self.now.saturating_sub(*since));
        self.probe(after);
    }

    pub(super) fn stranger_timeout(&mut self) {
        let Stage::Looking { until, last, .. } = &self.stage else {
            return;
        };
        if *until <= self.now {
            let last = *last;
            self.fail_all(Failure::ReadyTimeout {
                limit: self.policy.ready_timeout,
                last,
            });
            self.failed = true;
            self.rest();
        }
    }

    /// Uses a server that we did not start; it needs no claim, since we never stop it.
    pub(super) fn become_external(&mut self) {
        self.act(Action::Release);
        self.rival = false;
        self.become_ready(Ownership::External, false);
    }

    pub(super) fn spawn(&mut self, port_was_free: bool, respawned: bool) {
        self.stage = Stage::Spawning(Spawning {
            port_was_free,
            respawned,
            unwanted: None,
        });
        self.act(Action::Spawn);
    }

    pub(super) fn spawned(&mut self) {
        let Stage::Spawning(spawning) = &self.stage else {
            return;
        };
        let spawning = spawning.clone();
        if let Some(reason) = spawning.unwanted {
            return self.stop_run(reason, End::Stopped, spawning.port_was_free);
        }
        let mut loading = Loading {
            since: self.now,
            port_was_free: spawning.port_was_free,
            respawned: spawning.respawned,
            stranger: false,
            alone_since: self.waiters.is_empty().then_some(self.now),
            abandon_at: None,
            ready_by: Time::MAX,
            last: Sight::Refused,
        };
        loading.set_times(&self.policy);
        self.stage = Stage::Loading(loading);
        self.probe(Duration::ZERO);
    }

    pub(super) fn spawn_failed(&mut self, invalid: bool) {
        let Stage::Spawning(spawning) = &self.stage else {
            return;
        };
        // Who waits although the start was called off is served by a new one.
        if spawning.unwanted.is_none() {
            if invalid {
                self.failed = true;
            } else {
                self.count_failure();
            }
            self.fail_all(Failure::Spawn);
        }
        self.rest();
    }

    fn probed_while_loading(&mut self, sight: Sight, took: Duration) {
        let Stage::Loading(loading) = &mut self.stage else {
            return;
        };
        match sight {
            Sight::Wanted => {
                let port_was_free = loading.port_was_free;
                return self.become_ready(Ownership::Owned, port_was_free);
            }
            Sight::Status(status @ (401 | 403)) => return self.rejected(status),
            Sight::Stranger(_) => loading.stranger = true,
            _ => {}
        }
        loading.last = sight;
        let after = pause(took, self.now.saturating_sub(loading.since));
        self.probe(after);
    }

    /// One handle's credentials are wrong; who waits through another goes on waiting.
    fn rejected(&mut self, status: u16) {
        let handle = self.prober();
        self.fail_those_of(handle, &Failure::Rejected { status });
        if self.waiters.is_empty() {
            self.start_failed(Reason::Rejected);
        } else {
            self.probe(Duration::ZERO);
        }
    }

    pub(super) fn loading_timeouts(&mut self) {
        let Stage::Loading(loading) = &self.stage else {
            return;
        };
        if loading.ready_by <= self.now {
            let (limit, last) = (self.policy.ready_timeout, loading.last);
            self.fail_all(Failure::ReadyTimeout { limit, last });
            self.start_failed(Reason::NotReady);
        } else if loading
            .abandon_at
            .is_some_and(|abandon_at| abandon_at <= self.now)
        {
            let port_was_free = loading.port_was_free;
            self.stop_run(Reason::Abandoned, End::Stopped, port_was_free);
        }
    }

    /// Its waiters have their error already, and need not sit through the stop.
    fn start_failed(&mut self, reason: Reason) {
        let Stage::Loading(loading) = &self.stage else {
            return;
        };
        let port_was_free = loading.port_was_free;
        self.count_failure();
        self.stop_run(reason, End::Stopped, port_was_free);
    }

    /// Nothing runs and nothing is held. Who waits makes it start again.
    pub(super) fn rest(&mut self) {
        self.stage = Stage::Stopped;
        self.rival = false;
        self.act(Action::Release);
        self.act(Action::Settled { killed: true });
        if self.backs_off() {
            let failure = self.crash_loop();
            self.fail_all(failure);
        }
        if !self.waiters.is_empty() {
            self.claim();
        } else if self.abandoned {
            self.act(Action::Finish);
        }
    }

    /// What a process that has ended leaves to decide.
    pub(super) fn ending_of_start(loading: &Loading, exited: super::Exited) -> Ending {
        Ending::DiedLoading {
            exited,
            port_taken: exited.port_taken || loading.stranger,
            port_was_free: loading.port_was_free,
            respawned: loading.respawned,
        }
    }
}
