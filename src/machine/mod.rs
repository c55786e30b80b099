//! The state machine of one service: decides everything, does nothing.
//!
//! [`State::on`] takes what happened and says what to do; it has no clock, no lock and no I/O. What
//! it needs to know of leases comes with the events, since requests count them by themselves in
//! one atomic word.
//!
//! ```text
//!            asked                granted
//!  Stopped ---------> Claiming -------------> Looking ---- wanted ---------> Ready (external)
//!     ^  ^                |                     |  ^                            |
//!     |  |                | swap timeout        |  | 503, silence: somebody's   | gone, retired
//!     |  '----------------'                     |--' server is loading          v
//!     |  '--- occupied, timeout ----------------'                            Stopped
//!     |                                         | refused, 502, 504
//!     |                                         v
//!     |   spawn failed                       Spawning
//!     |<----------------------------------------|
//!     |                                         v
//!     |                        .------------ Loading ------- wanted -------> Ready (owned)
//!     |                        | exited,        ^                               |
//!     |                        | timeout,       | the port was taken,           | idle, retired, swapped,
//!     |                        | rejected,      | and is free now               | stopped, unhealthy, exited
//!     |                        | stopped        |                               |
//!     |                        v                |                               |
//!     |   port refuses      Stopping <----------+-------------------------------'
//!     |<--- Settling <-------- gone             |
//!     |        |                  \             |
//!     |        |                   '-> Unkillable (until it is gone after all)
//!     |        |--------------------------------'
//!     |        '--- another's server answers --> Ready (external)
//! ```
//!
//! Whoever waits when a way ends in `Stopped` is either answered there or makes it `Claiming` again.
//! The claim on the endpoint is held from `Looking` to the end of `Settling`, and never while
//! `Ready (external)`.

mod backoff;
#[cfg(test)]
mod check;
mod event;
mod journal;
mod pace;
mod phase;
mod policy;
mod ready;
#[cfg(any(test, fuzzing))]
mod reference;
mod seen;
mod start;
mod stop;

use std::{collections::BTreeMap, time::Duration};

#[cfg(fuzzing)]
pub(crate) use self::reference::play;
pub(crate) use self::{
    event::{Action, Ask, Claim, End, Event, Exited, Failure, Leases, Reason, Time, Want},
    journal::Journal,
    pace::pause,
    policy::Policy,
    seen::Sight,
};
pub use self::{
    journal::Record,
    phase::{Ownership, Phase},
};
use self::{ready::Ready, start::Loading, stop::Stopping};

/// Where a service stands, and who waits for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    policy: Policy,
    stage: Stage,
    waiters: BTreeMap<u64, Waiter>,
    /// The handle that asked last: its probe is used while nobody waits.
    asker: u64,
    /// Another service waits for our endpoint.
    rival: bool,
    /// No handle is left, so nobody will ask again.
    abandoned: bool,
    /// Starts that failed in a row.
    failures: u32,
    /// Until then, requests fail at once.
    not_before: Time,
    /// The last start failed, or the last run did.
    failed: bool,
    // Of the event at hand; saves every transition two parameters.
    now: Time,
    actions: Vec<Action>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Stopped,
    /// Waiting for the endpoint. `due`: when the first waiter has waited for its swap timeout.
    Claiming {
        since: Time,
        due: Time,
    },
    /// Looking at what is there before we start. `until`: how long a stranger may load. `respawned`:
    /// ours has lost the port once already, so the next that loses it has failed.
    Looking {
        since: Time,
        until: Time,
        last: Sight,
        respawned: bool,
    },
    Spawning(start::Spawning),
    /// Our process runs and is not ready.
    Loading(Loading),
    Ready(Ready),
    /// Our process is being ended, or has ended and takes its group with it.
    Stopping(Stopping),
    /// Nothing of the process is left; waiting for the port to refuse.
    Settling {
        until: Time,
        ending: stop::Ending,
    },
    /// The process survived KILL.
    Unkillable,
}

/// Somebody who waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Waiter {
    handle: u64,
    since: Time,
    swap_timeout: Duration,
}

impl State {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            stage: Stage::Stopped,
            waiters: BTreeMap::new(),
            asker: 0,
            rival: false,
            abandoned: false,
            failures: 0,
            not_before: Time::ZERO,
            failed: false,
            now: Time::ZERO,
            actions: Vec::new(),
        }
    }

    /// Takes an event, and says what to do.
    pub(crate) fn on(&mut self, event: Event, now: Time) -> Vec<Action> {
        self.now = now;
        match event {
            Event::Asked {
                waiter,
                ask,
                suspect,
                leases,
            } => {
                self.asked(waiter, &ask, suspect, leases);
            }
            Event::Left { waiter } => {
                if self.waiters.remove(&waiter).is_some() {
                    self.somebody_left();
                }
            }
            Event::Dismissed { handle } => self.dismissed(handle),
            Event::StopAsked => self.stop_asked(),
            Event::RetireAsked { limit } => self.retire_asked(limit),
            Event::HandlesGone => {
                self.abandoned = true;
                self.retire_asked(None);
            }
            Event::PolicyChanged(policy) => self.policy_changed(policy),
            Event::Claim(claim) => self.claim_answered(&claim),
            Event::Probed {
                sight,
                took,
                leases,
            } => self.probed(sight, took, leases),
            Event::Spawned => self.spawned(),
            Event::SpawnFailed { invalid } => self.spawn_failed(invalid),
            Event::Exited(exited) => self.exited(exited),
            Event::Gone => self.gone(),
            Event::Looked(leases) => self.looked(leases),
            Event::Closed => self.closed(),
            Event::Tick => self.tick(),
        }
        std::mem::take(&mut self.actions)
    }

    /// When the next `Tick` is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match &self.stage {
            Stage::Stopped | Stage::Spawning(_) | Stage::Unkillable => None,
            Stage::Claiming { due, .. } => Some(*due),
            Stage::Loading(loading) => Some(loading.deadline()),
            Stage::Ready(ready) => ready.deadline(),
            Stage::Stopping(stopping) => Some(stopping.deadline()),
            Stage::Looking { until, .. } | Stage::Settling { until, .. } => Some(*until),
        }
    }

    /// Whether a probe is of use; one under way is dropped when it is not.
    pub(crate) fn is_probing(&self) -> bool {
        match &self.stage {
            Stage::Looking { .. } | Stage::Loading(_) | Stage::Settling { .. } => true,
            Stage::Ready(ready) => ready.is_checking(),
            _ => false,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Stopped if self.failed => Phase::Failed,
            Stage::Stopped => Phase::Stopped,
            Stage::Claiming { .. }
            | Stage::Looking { .. }
            | Stage::Spawning(_)
            | Stage::Loading(_) => Phase::Starting,
            Stage::Ready(_) => Phase::Ready,
            Stage::Stopping(_) | Stage::Settling { .. } => Phase::Stopping,
            Stage::Unkillable => Phase::Failed,
        }
    }

    pub(crate) fn ownership(&self) -> Option<Ownership> {
        match &self.stage {
            Stage::Ready(ready) => Some(ready.ownership),
            Stage::Loading(_) | Stage::Stopping(_) | Stage::Unkillable => Some(Ownership::Owned),
            _ => None,
        }
    }

    /// Whether a listener must belong to our group to be taken for our process: only then was the
    /// port nobody's before we started.
    pub(crate) fn wants_own_listener(&self) -> bool {
        matches!(&self.stage, Stage::Loading(loading) if loading.port_was_free)
    }

    /// Whether nothing follows from what a probe saw but the next probe, whatever else has happened.
    pub(crate) fn only_probes_again(&self, sight: Sight) -> bool {
        let says_more = matches!(
            sight,
            Sight::Wanted | Sight::Status(401 | 403) | Sight::Stranger(_)
        );
        matches!(self.stage, Stage::Loading(_)) && !says_more
    }

    pub(crate) fn waiters(&self) -> usize {
        self.waiters.len()
    }

    fn asked(&mut self, waiter: u64, ask: &Ask, suspect: bool, leases: usize) {
        if ask.want == Want::Start {
            self.forgive();
        }
        self.asker = ask.handle;
        if let Some(failure) = self.refusal(ask) {
            return self.act(Action::Fail(vec![waiter], failure));
        }
        let (handle, since, swap_timeout) = (ask.handle, self.now, ask.swap_timeout);
        self.waiters.insert(
            waiter,
            Waiter {
                handle,
                since,
                swap_timeout,
            },
        );

        match &mut self.stage {
            Stage::Stopped => self.claim(),
            Stage::Claiming { due, .. } => *due = (*due).min(since + swap_timeout),
            Stage::Loading(loading) => {
                loading.alone_since = None;
                loading.set_times(&self.policy);
            }
            Stage::Ready(_) => self.asked_while_ready(suspect, leases),
            _ => {}
        }
    }

    /// Why somebody who asks now gets an error at once.
    fn refusal(&self, ask: &Ask) -> Option<Failure> {
        let waiters = self.waiters.len();
        match &self.stage {
            Stage::Unkillable => Some(Failure::Unkillable),
            Stage::Stopped | Stage::Stopping(_) | Stage::Settling { .. } if self.backs_off() => {
                Some(self.crash_loop())
            }
            _ if ask.max_waiters.is_some_and(|most| waiters >= most) => {
                Some(Failure::Overloaded { waiters })
            }
            _ => None,
        }
    }

    fn dismissed(&mut self, handle: u64) {
        if self.fail_those_of(handle, &Failure::ShutDown) {
            self.somebody_left();
        }
    }

    fn policy_changed(&mut self, policy: Policy) {
        let former = std::mem::replace(&mut self.policy, policy);
        match &mut self.stage {
            Stage::Looking { until, .. } => {
                let begun = until.saturating_sub(former.ready_timeout);
                *until = begun + policy.ready_timeout;
            }
            Stage::Loading(loading) => loading.set_times(&policy),
            Stage::Ready(_) => self.act(Action::Look),
            _ => {}
        }
    }

    fn tick(&mut self) {
        match &self.stage {
            Stage::Claiming { .. } => self.swap_timeouts(),
            Stage::Looking { .. } => self.stranger_timeout(),
            Stage::Loading(_) => self.loading_timeouts(),
            Stage::Ready(_) => self.ready_timeouts(),
            Stage::Stopping(_) => self.stopping_timeouts(),
            Stage::Settling { .. } => self.settle_timeout(),
            Stage::Stopped | Stage::Spawning(_) | Stage::Unkillable => {}
        }
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn grant_all(&mut self) {
        let waiters: Vec<_> = std::mem::take(&mut self.waiters).into_keys().collect();
        if !waiters.is_empty() {
            self.act(Action::Grant(waiters));
        }
    }

    /// A failed start is told even if nobody waits any more: the next request wants to know of it.
    fn fail_all(&mut self, failure: Failure) {
        let waiters: Vec<_> = std::mem::take(&mut self.waiters).into_keys().collect();
        if !waiters.is_empty() || failure.is_news() {
            self.act(Action::Fail(waiters, failure));
        }
    }

    /// Whether there was anybody.
    fn fail_those_of(&mut self, handle: u64, failure: &Failure) -> bool {
        let failed = self.take_waiters(|waiter| waiter.handle == handle);
        let any = !failed.is_empty();
        if any {
            self.act(Action::Fail(failed, failure.clone()));
        }
        any
    }

    fn take_waiters(&mut self, which: impl Fn(&Waiter) -> bool) -> Vec<u64> {
        let waiters = self.waiters.iter().filter(|(_, waiter)| which(waiter));
        let taken = waiters.map(|(id, _)| *id).collect();
        self.waiters.retain(|_, waiter| !which(waiter));
        taken
    }

    /// The handle whose probe is used: of who has waited longest.
    fn prober(&self) -> u64 {
        self.waiters
            .values()
            .next()
            .map_or(self.asker, |waiter| waiter.handle)
    }

    fn probe(&mut self, after: Duration) {
        let handle = self.prober();
        self.act(Action::Probe { handle, after });
    }

    fn backs_off(&self) -> bool {
        self.now < self.not_before
    }

    fn crash_loop(&self) -> Failure {
        let retry_after = self.not_before.saturating_sub(self.now);
        Failure::CrashLoop {
            failures: self.failures,
            retry_after,
        }
    }

    fn count_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = self.now + backoff::delay(self.failures);
        self.failed = true;
    }

    fn forgive(&mut self) {
        self.failures = 0;
        self.not_before = Time::ZERO;
        self.failed = false;
    }
}
