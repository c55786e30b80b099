//! An owned instance serves requests: idleness, silence, making way for another service.

use std::time::Duration;

use super::{
    Action, AfterGone, Claim, Common, Exited, InstanceEnd, Leases, Ownership, Stage, StopReason,
    Time, Unanswered,
    silence::{self, Silence},
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
    /// When another program was last seen to use the server.
    pub(crate) used_at: Time,
    pub(crate) look: Look,
    /// A request has failed, and a connection to the address is under way.
    pub(crate) knocks: bool,
    pub(crate) silence: Option<Silence>,
    /// Why it is stopped as soon as no lease is out.
    pub(crate) condemned: Option<StopReason>,
    pub(crate) closing: Option<Closing>,
    /// The process has ended, and `Exited` is about to say how. Requests and bodies wait for that.
    pub(crate) dying: bool,
    pub(crate) bodies: Vec<u64>,
}

/// Other programs use the server, too, which only the system knows. It is asked when a stop for idleness is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Look {
    NotNeeded,
    UnderWay,
    /// `used_at` is what it has shown.
    Done,
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
        (cx.backoff.failed, cx.retired) = (false, false);
        cx.keeping.succeeds();
        cx.grant_all();
        cx.act(Action::ReadLeases);
        Self {
            port_was_free,
            proven_at: cx.now + PROVEN,
            quiet_until: None,
            used_at: Time::ZERO,
            look: Look::NotNeeded,
            knocks: false,
            silence: None,
            condemned: None,
            closing: None,
            dying: false,
            bodies: Vec::new(),
        }
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
        if !suspect || leases > 0 {
            cx.grant_all();
        } else if !self.knocks {
            self.knocks = true;
            cx.act(Action::Knock);
        }
        Stage::Serving(self)
    }

    /// What a connection to the address showed, after a request has failed.
    pub(super) fn knocked(mut self, refused: bool, cx: &mut Common) -> Stage {
        if !std::mem::take(&mut self.knocks) || self.dying {
            return Stage::Serving(self);
        }
        if refused {
            self.condemned = Some(StopReason::Refuses);
            cx.act(Action::CloseIfIdle);
        } else {
            cx.act(Action::Trust);
            cx.grant_all();
            cx.act(Action::ReadLeases);
        }
        Stage::Serving(self)
    }

    /// Requests ended without an answer.
    pub(super) fn unanswered(mut self, news: Unanswered, cx: &mut Common) -> Stage {
        let is_unresponsive = silence::judge(&mut self.silence, news, cx);
        if is_unresponsive && self.closing.is_none() && !self.dying {
            self.condemned = Some(StopReason::Unresponsive);
            cx.act(Action::ReadLeases);
        } else if !is_unresponsive && self.condemned == Some(StopReason::Unresponsive) {
            self.condemned = None;
        }
        Stage::Serving(self)
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
            if leases.out > 0 {
                return Stage::Serving(self);
            }
            if reason != StopReason::Swap {
                return self.leave(reason, cx);
            }
            // Several may have to make way together, and the other service may not wait any more.
            cx.act(Action::Offer);
            return Stage::Serving(self);
        }
        if cx.wanted && leases.out == 0 {
            cx.act(Action::Offer);
        }
        if self.condemned.is_some() && leases.out == 0 {
            cx.act(Action::CloseIfIdle);
        } else if self.condemned == Some(StopReason::Refuses) {
            // A lease protects it, and that of another request would fare no better.
            self.condemned = None;
            cx.grant_all();
        } else if cx.waiters.is_empty() {
            self.look_for_idleness(leases, cx);
        }
        Stage::Serving(self)
    }

    fn look_for_idleness(&mut self, leases: Leases, cx: &mut Common) {
        let look = std::mem::replace(&mut self.look, Look::NotNeeded);
        self.quiet_until = None;
        if leases.out > 0 {
            // The end of the last lease wakes the driver.
            return;
        }
        let idle_since = leases.idle_since.max(self.used_at);
        let idle_stop = cx.policy.idle_stop.filter(|_| !cx.keeps_ready());
        let idle_at = idle_stop.map(|it| idle_since + it);
        if idle_at.is_none_or(|idle_at| idle_at > cx.now) {
            self.quiet_until = idle_at;
        } else if look == Look::Done {
            cx.act(Action::CloseIfIdle);
        } else {
            self.look = Look::UnderWay;
            cx.act(Action::LookForUse);
        }
    }

    /// What the system knows of the use of the port.
    pub(super) fn used(mut self, last: Option<Time>, cx: &mut Common) -> Stage {
        if self.look == Look::UnderWay {
            self.look = Look::Done;
            self.used_at = self.used_at.max(last.unwrap_or_default());
            cx.act(Action::ReadLeases);
        }
        Stage::Serving(self)
    }

    /// The lease word is closed, and no lease is out.
    pub(super) fn closed(self, cx: &mut Common) -> Stage {
        let reason = self.condemned.unwrap_or(StopReason::Idle);
        self.leave(reason, cx)
    }

    /// What another service that waits for what this one has asks of it.
    pub(super) fn asked_to_make_way(self, claim: Claim, cx: &mut Common) -> Stage {
        match claim {
            Claim::Contested => self.close(StopReason::Swap, None, cx),
            Claim::Wanted | Claim::Uncontested => self.stay(cx),
            _ => Stage::Serving(self),
        }
    }

    /// Its word is closed already, and no lease is out.
    pub(super) fn make_way(self, cx: &mut Common) -> Stage {
        if self.dying {
            return Stage::Serving(self);
        }
        let reason = self.closing.as_ref().map(|closing| closing.reason);
        self.leave(reason.unwrap_or(StopReason::Swap), cx)
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
        self.knocks = false;
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

    /// No other service waits for it any more, or not yet for its end.
    fn stay(mut self, cx: &mut Common) -> Stage {
        let makes_way = |closing: &Closing| closing.reason == StopReason::Swap;
        if self.closing.as_ref().is_some_and(makes_way) {
            self.closing = None;
            cx.act(Action::Reopen(Ownership::Owned));
            if !self.dying {
                cx.grant_all();
            }
            cx.act(Action::ReadLeases);
        } else if cx.wanted && self.closing.is_none() {
            cx.act(Action::ReadLeases);
        }
        Stage::Serving(self)
    }

    /// No lease is out and none can be taken.
    fn leave(self, reason: StopReason, cx: &mut Common) -> Stage {
        // An instance that did not have to be cut off has proved good.
        if !matches!(reason, StopReason::Refuses | StopReason::Unresponsive) {
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
        // A command that ends without an error may have left the server to a daemon, which answered all the time.
        let may_be_other = exited.port_taken || exited.code == Some(0);
        let after = if may_be_other && !is_retired {
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
