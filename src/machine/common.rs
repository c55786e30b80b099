//! What all stages share.

use std::time::Duration;

use super::{
    Action, Ask, Claim, Event, Failure, InstanceEnd, Policy, Stage, StopReason, Stopped, Time,
    Want, backoff::Backoff, keeping::Keeping, last_answers::LastAnswers, waiters::Waiters,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Common {
    pub(crate) policy: Policy,
    pub(crate) waiters: Waiters,
    pub(crate) backoff: Backoff,
    pub(crate) keeping: Keeping,
    pub(crate) last_answers: LastAnswers,
    /// Another service waits for what this one has.
    pub(crate) wanted: bool,
    /// When it began to wait for the address of this start.
    pub(crate) claimed_at: Time,
    /// It has what its process needs beside the address.
    pub(crate) has_room: bool,
    /// A peer's server failed while this program used it, so its owner has to make way.
    pub(crate) condemned: bool,
    /// The service was retired while callers wait for its start, which ends once another service needs the address.
    pub(crate) retired: bool,
    /// No handle is left, so no caller will come.
    pub(crate) abandoned: bool,
    /// Of the event at hand; saves every transition two parameters.
    pub(crate) now: Time,
    pub(crate) actions: Vec<Action>,
}

impl Common {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            waiters: Waiters::default(),
            backoff: Backoff::default(),
            keeping: Keeping::default(),
            last_answers: LastAnswers::default(),
            wanted: false,
            claimed_at: Time::ZERO,
            has_room: false,
            condemned: false,
            retired: false,
            abandoned: false,
            now: Time::ZERO,
            actions: Vec::new(),
        }
    }

    /// What an event means for callers, in whatever stage; `None` if that is all.
    pub(super) fn callers(&mut self, stage: &Stage, event: Event) -> Option<Event> {
        match &event {
            Event::Asked { waiter, ask, .. } => {
                if ask.want == Want::Start {
                    self.backoff.forgive();
                }
                self.waiters.asker = ask.handle;
                self.keeping.is_stopped = false;
                if let Some(failure) = self.refusal(stage, ask) {
                    self.act(Action::Fail(vec![*waiter], failure));
                    return None;
                }
                self.waiters.join(*waiter, ask, self.now);
            }
            Event::Left { waiter } => {
                let is_last = self.waiters.leave(*waiter) && self.waiters.is_empty();
                return is_last.then_some(event);
            }
            Event::Dismissed { handle } => {
                let dismissed = self.waiters.take_those_of(*handle);
                let last = *dismissed.last()?;
                self.act(Action::Fail(dismissed, Failure::ShutDown));
                return (self.waiters.is_empty()).then_some(Event::Left { waiter: last });
            }
            Event::HandlesGone => {
                self.abandoned = true;
                return Some(Event::RetireAsked { limit: None });
            }
            Event::StopAsked | Event::RetireAsked { .. } => self.keeping.is_stopped = true,
            Event::PolicyChanged(policy) => {
                let former = std::mem::replace(&mut self.policy, *policy);
                return Some(Event::PolicyChanged(former));
            }
            Event::Claim(Claim::Wanted | Claim::Contested) => self.wanted = true,
            Event::Claim(Claim::Uncontested) => self.wanted = false,
            Event::Claim(Claim::Room) => self.has_room = true,
            Event::Gone { unread: true } => self.last_answers.await_those(self.now),
            Event::Tick => {
                while self.last_answers.is_over(self.now) {
                    self.act(Action::EndAnswers);
                }
            }
            _ => {}
        }
        Some(event)
    }

    /// Why a caller gets an error at once.
    fn refusal(&self, stage: &Stage, ask: &Ask) -> Option<Failure> {
        if ask.shut_down {
            return Some(Failure::ShutDown);
        }
        let backs_off = match stage {
            Stage::Unkillable => return Some(Failure::Unkillable),
            Stage::Stopped | Stage::Stopping(_) | Stage::AwaitingPort(_) => {
                self.backoff.refusal(self.now)
            }
            _ => None,
        };
        let waiters = self.waiters.len();
        let is_full = ask.max_waiters.is_some_and(|most| waiters >= most);
        backs_off.or(is_full.then_some(Failure::Overloaded { waiters }))
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// The way into every start.
    pub(super) fn claim(&mut self) -> Stage {
        self.act(Action::Claim {
            evict: self.condemned,
        });
        Stage::claiming(self)
    }

    /// Nothing runs and nothing is held. If callers wait, it starts again.
    pub(super) fn rest(&mut self) -> Stage {
        self.retired = false;
        self.release();
        self.act(Action::EndUse);
        self.act(Action::StopsDone(Stopped::Gone));
        if let Some(failure) = self.backoff.refusal(self.now) {
            self.fail_all(failure);
        }
        if !self.waiters.is_empty() {
            return self.claim();
        }
        if self.abandoned {
            self.act(Action::Finish);
        }
        self.keep()
    }

    pub(super) fn release(&mut self) {
        (self.wanted, self.has_room) = (false, false);
        self.act(Action::Release);
    }

    /// What survived KILL cannot be stopped.
    pub(super) fn cannot_stop(&mut self) -> Stage {
        self.act(Action::StopsDone(Stopped::Survived));
        Stage::Unkillable
    }

    /// The stop of a server came to nothing, which is reported even if no caller waits for it. Those that ask for the
    /// server use it as an external one.
    pub(super) fn still_answers(&mut self) {
        self.backoff.failed = true;
        self.act(Action::Fail(Vec::new(), Failure::StillAnswers));
        self.act(Action::StopsDone(Stopped::StillAnswers));
    }

    pub(super) fn grant_all(&mut self) {
        let waiters = self.waiters.take_all();
        if !waiters.is_empty() {
            self.act(Action::Grant(waiters));
        }
    }

    /// A failed start is reported even if no request waits any more: the status shows it.
    pub(super) fn fail_all(&mut self, failure: Failure) {
        let waiters = self.waiters.take_all();
        if !waiters.is_empty() || failure.is_news() {
            self.act(Action::Fail(waiters, failure));
        }
    }

    /// Fails the callers whose handle's probe was used: another handle's credentials may do.
    pub(super) fn fail_prober(&mut self, failure: Failure) {
        let failed = self.waiters.take_those_of(self.waiters.prober());
        if !failed.is_empty() {
            self.act(Action::Fail(failed, failure));
        }
    }

    pub(super) fn probe(&mut self, after: Duration) {
        self.probe_for(after, false);
    }

    /// With `own`, an answer counts only if our process gave it.
    pub(super) fn probe_for(&mut self, after: Duration, own: bool) {
        let handle = self.waiters.prober();
        self.act(Action::Probe { handle, after, own });
    }

    /// The instance ended by itself. That is a failure unless it had proved good.
    pub(super) fn died(&mut self, unproven: bool) {
        self.act(Action::End(InstanceEnd::Died));
        if unproven {
            self.backoff.count_failure(self.now);
        } else {
            self.backoff.forgive();
        }
    }

    /// A start failed. Its waiters have their error already, and need not wait for the stop.
    pub(super) fn start_failed(&mut self, reason: StopReason, port_was_free: bool) -> Stage {
        self.backoff.count_failure(self.now);
        Stage::stopping(reason, InstanceEnd::Stopped, port_was_free, self)
    }
}
