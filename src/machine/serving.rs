//! An owned instance serves requests: idleness, suspicion, making way for another service.

use std::time::Duration;

use super::{
    Action, AfterGone, Common, Exited, InstanceEnd, Leases, Ownership, Sight, Stage, StopReason,
    Time,
    suspicion::{Suspicion, Verdict},
};

/// An instance that has been healthy for so long is no failed one, however it ends.
const PROVEN: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Serving {
    pub(crate) port_was_free: bool,
    /// From then on, an exit is no failed start.
    pub(crate) proven_at: Time,
    /// When to read the leases. Without it, the end of the last lease wakes the driver.
    pub(crate) quiet_until: Option<Time>,
    pub(crate) suspicion: Suspicion,
    pub(crate) closing: Option<Closing>,
    /// The process has ended, and `Exited` is about to say how. Requests and bodies wait for that.
    pub(crate) dying: bool,
    pub(crate) bodies: Vec<u64>,
}

/// No new leases are given out; what happens when the existing ones have ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Closing {
    pub(crate) reason: StopReason,
    pub(crate) until: Option<Time>,
}

impl Serving {
    pub(super) fn begin(port_was_free: bool, cx: &mut Common) -> Self {
        cx.act(Action::Open(Ownership::Owned));
        cx.backoff.failed = false;
        cx.grant_all();
        let it = Self {
            port_was_free,
            proven_at: cx.now + PROVEN,
            quiet_until: None,
            suspicion: Suspicion::none(cx),
            closing: None,
            dying: false,
            bodies: Vec::new(),
        };
        if cx.contested {
            return it.closed_for(StopReason::Swap, None, cx);
        }
        cx.act(Action::ReadLeases);
        it
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match &self.closing {
            Some(closing) => closing.until,
            None => self.quiet_until,
        }
    }

    pub(super) fn asked(mut self, suspect: bool, leases: usize, cx: &mut Common) -> Stage {
        if self.closing.is_some() || self.dying {
            return Stage::Serving(self);
        }
        // Leases protect an owned instance: a request fares no better if the server is stopped under them.
        if !suspect || leases > 0 || self.suspicion.was_just_checked(cx) {
            cx.grant_all();
        } else if self.suspicion.begin_check(cx) {
            cx.probe(Duration::ZERO);
        }
        Stage::Serving(self)
    }

    /// A probe of an instance under suspicion.
    pub(super) fn probed(mut self, sight: Sight, leases: usize, cx: &mut Common) -> Stage {
        if self.dying {
            return Stage::Serving(self);
        }
        match self.suspicion.judge(sight, cx) {
            None => {}
            Some(Verdict::Lives) => {
                cx.act(Action::Trust);
                self.suspicion.dispel(cx);
                Self::checked(cx);
            }
            Some(_) if leases > 0 => self.end_check(cx),
            Some(Verdict::Unclear(after)) => cx.probe(after),
            Some(Verdict::Dead) => {
                self.suspicion.condemn();
                cx.act(Action::CloseIfIdle);
            }
        }
        Stage::Serving(self)
    }

    fn end_check(&mut self, cx: &mut Common) {
        self.suspicion.end_check(cx);
        Self::checked(cx);
    }

    fn checked(cx: &mut Common) {
        cx.grant_all();
        cx.act(Action::ReadLeases);
    }

    pub(super) fn timed_out(mut self, cx: &mut Common) -> Stage {
        let is_due = self.deadline().is_some_and(|due| due <= cx.now);
        if !is_due {
            return Stage::Serving(self);
        }
        if self.closing.is_some() {
            return self.cut(StopReason::Retired, cx);
        }
        self.quiet_until = None;
        cx.act(Action::ReadLeases);
        Stage::Serving(self)
    }

    /// What the lease word says decides about idleness.
    pub(super) fn counted(mut self, leases: Leases, cx: &mut Common) -> Stage {
        if self.dying {
            return Stage::Serving(self);
        }
        if let Some(closing) = &self.closing {
            let reason = closing.reason;
            return if leases.out == 0 {
                self.leave(reason, cx)
            } else {
                Stage::Serving(self)
            };
        }
        if self.suspicion.is_condemned() {
            if leases.out == 0 {
                cx.act(Action::CloseIfIdle);
            } else {
                self.end_check(cx);
            }
        } else if cx.waiters.is_empty() {
            self.look_for_idleness(leases, cx);
        }
        Stage::Serving(self)
    }

    fn look_for_idleness(&mut self, leases: Leases, cx: &mut Common) {
        if leases.out > 0 {
            // The end of the last lease wakes the driver.
            self.quiet_until = None;
            return;
        }
        let idle_at = cx.policy.idle_stop.map(|it| leases.idle_since + it);
        if idle_at.is_some_and(|idle_at| idle_at <= cx.now) {
            return cx.act(Action::CloseIfIdle);
        }
        let recheck_at = leases.alive_since + cx.policy.recheck;
        if !self.suspicion.is_raised && recheck_at <= cx.now {
            self.suspicion.is_raised = true;
            cx.act(Action::Suspect);
        }
        let recheck_at = (!self.suspicion.is_raised).then_some(recheck_at);
        self.quiet_until = [idle_at, recheck_at].into_iter().flatten().min();
    }

    /// The lease word is closed, and no lease is out.
    pub(super) fn closed(self, cx: &mut Common) -> Stage {
        let reason = if self.suspicion.is_condemned() {
            StopReason::Unhealthy
        } else {
            StopReason::Idle
        };
        self.leave(reason, cx)
    }

    /// Another service waits for the address.
    pub(super) fn make_way(self, cx: &mut Common) -> Stage {
        self.close(StopReason::Swap, None, cx)
    }

    pub(super) fn close(
        self,
        reason: StopReason,
        limit: Option<Duration>,
        cx: &mut Common,
    ) -> Stage {
        Stage::Serving(self.closed_for(reason, limit, cx))
    }

    /// Gives out no new leases; existing ones may end, at most until the limit has passed.
    fn closed_for(mut self, reason: StopReason, limit: Option<Duration>, cx: &mut Common) -> Self {
        let until = limit.map(|limit| cx.now + limit);
        self.suspicion.check = None;
        self.closing = Some(match self.closing.take() {
            // It is retired for good, and in time, even if another service wants the address meanwhile.
            Some(closing) if closing.reason == StopReason::Retired => Closing {
                until: [closing.until, until].into_iter().flatten().min(),
                ..closing
            },
            _ => Closing { reason, until },
        });
        cx.act(Action::Close);
        self
    }

    /// No other service waits for the address any more.
    pub(super) fn stay(mut self, cx: &mut Common) -> Stage {
        let makes_way = |closing: &Closing| closing.reason == StopReason::Swap;
        if self.closing.as_ref().is_some_and(makes_way) {
            self.closing = None;
            // To reopen is to trust: a silence that continues is noticed again.
            self.suspicion.is_raised = false;
            cx.act(Action::Reopen(Ownership::Owned));
            if !self.dying {
                cx.grant_all();
            }
            cx.act(Action::ReadLeases);
        }
        Stage::Serving(self)
    }

    /// No lease is out and none can be taken.
    fn leave(self, reason: StopReason, cx: &mut Common) -> Stage {
        // An instance that did not have to be cut off has proved good.
        if reason != StopReason::Unhealthy {
            cx.backoff.forgive();
        }
        Stage::stopping(reason, InstanceEnd::Idle, self.port_was_free, cx)
    }

    /// Stops it, whatever leases are out.
    pub(super) fn cut(self, reason: StopReason, cx: &mut Common) -> Stage {
        let stopping = Stage::stopping(reason, InstanceEnd::Stopped, self.port_was_free, cx);
        self.tell_bodies(cx);
        stopping
    }

    pub(super) fn body_ended(mut self, body: u64, cx: &mut Common) -> Stage {
        if self.dying {
            self.bodies.push(body);
        } else {
            let (bodies, lives) = (vec![body], Some(true));
            cx.act(Action::Confirm { bodies, lives });
        }
        Stage::Serving(self)
    }

    pub(super) fn dying(mut self) -> Stage {
        self.dying = true;
        Stage::Serving(self)
    }

    pub(super) fn exited(self, exited: Exited, cx: &mut Common) -> Stage {
        let unproven = !exited.served && cx.now < self.proven_at;
        let closing = self.closing.as_ref();
        let is_retired = closing.is_some_and(|it| it.reason == StopReason::Retired);
        // A retired instance is not to continue as another program's server.
        let after = if exited.port_taken && !is_retired {
            cx.act(Action::Close);
            AfterGone::DiedServing { unproven }
        } else {
            cx.died(unproven);
            AfterGone::Stopped {
                port_was_free: self.port_was_free,
            }
        };
        self.tell_bodies(cx);
        Stage::ending_group(after, cx)
    }

    /// The bodies that waited for its end are answered once it is known how it ended.
    fn tell_bodies(&self, cx: &mut Common) {
        if !self.bodies.is_empty() {
            let (bodies, lives) = (self.bodies.clone(), Some(false));
            cx.act(Action::Confirm { bodies, lives });
        }
    }
}
