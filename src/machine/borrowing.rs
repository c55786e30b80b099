//! An external server serves requests: it is looked after less than an owned one, and never stopped.
//!
//! A peer's server can be used safely only while the peer knows of the use. So that the use can end, leases are taken
//! without a check for at most [`TRUST`] after a probe; the next request begins a check, which renews the use first.

use std::time::Duration;

use super::{
    Action, Claim, Common, InstanceEnd, Leases, Ownership, Sight, Stage, Time, pause,
    suspicion::{Suspicion, Verdict},
};

/// How long an external server is trusted after a sign of life: nothing reports its end.
const TRUST: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Borrowing {
    /// The server is a peer's, which knows that this program uses it.
    pub(crate) uses_peer: bool,
    /// Until then, the use of a peer's server is kept even if no lease is out.
    pub(crate) use_until: Option<Time>,
    /// When to read the leases. Without it, the end of the last lease wakes the driver.
    pub(crate) quiet_until: Option<Time>,
    pub(crate) suspicion: Suspicion,
    /// The peer has closed its server to this program.
    pub(crate) lost: bool,
    pub(crate) closing: Option<Closing>,
}

/// No new leases are given out; the server is forgotten when the existing ones have ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Closing {
    pub(crate) until: Option<Time>,
}

impl Borrowing {
    pub(super) fn begin(uses_peer: bool, cx: &mut Common) -> Self {
        cx.act(Action::Release);
        cx.act(Action::Open(Ownership::External { pid: None }));
        Self::enter(uses_peer, cx)
    }

    pub(super) fn take_over(cx: &mut Common) -> Self {
        cx.act(Action::Release);
        cx.act(Action::Reopen(Ownership::External { pid: None }));
        Self::enter(false, cx)
    }

    fn enter(uses_peer: bool, cx: &mut Common) -> Self {
        cx.contested = false;
        cx.backoff.failed = false;
        cx.grant_all();
        cx.act(Action::ReadLeases);
        Self {
            uses_peer,
            use_until: uses_peer.then(|| cx.now + TRUST),
            quiet_until: None,
            suspicion: Suspicion::none(cx),
            lost: false,
            closing: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match &self.closing {
            Some(closing) => closing.until,
            None => self.quiet_until,
        }
    }

    pub(super) fn asked(mut self, suspect: bool, cx: &mut Common) -> Stage {
        if self.closing.is_some() {
            return Stage::Borrowing(self);
        }
        if !suspect || self.suspicion.was_just_checked(cx) {
            cx.grant_all();
        } else if self.suspicion.begin_check(cx) {
            let after = Duration::ZERO;
            cx.act(Action::RenewUse { after });
        }
        Stage::Borrowing(self)
    }

    /// Whether the server is still a peer's.
    pub(super) fn renewed(mut self, claim: Claim, cx: &mut Common) -> Stage {
        if !self.suspicion.is_checking() {
            return Stage::Borrowing(self);
        }
        match claim {
            Claim::Guest { open: true } | Claim::Free => {
                self.uses_peer = claim != Claim::Free;
                cx.probe(Duration::ZERO);
            }
            Claim::Lost => {
                self.lost = true;
                cx.act(Action::ReadLeases);
            }
            _ => {}
        }
        Stage::Borrowing(self)
    }

    /// A probe of a server under suspicion.
    pub(super) fn probed(mut self, sight: Sight, cx: &mut Common) -> Stage {
        match self.suspicion.judge(sight, cx) {
            None => {}
            Some(Verdict::Lives) => {
                cx.act(Action::Trust);
                self.suspicion.dispel(cx);
                self.use_until = self.uses_peer.then(|| cx.now + TRUST);
                cx.grant_all();
                cx.act(Action::ReadLeases);
            }
            Some(Verdict::Unclear(after)) => cx.probe(after),
            Some(Verdict::Dead) => {
                cx.condemned = self.uses_peer;
                cx.act(Action::End(InstanceEnd::Died));
                return cx.rest();
            }
        }
        Stage::Borrowing(self)
    }

    pub(super) fn timed_out(mut self, cx: &mut Common) -> Stage {
        let is_due = self.deadline().is_some_and(|due| due <= cx.now);
        if !is_due {
            return Stage::Borrowing(self);
        }
        if self.closing.is_some() {
            return Self::forget(cx);
        }
        self.quiet_until = None;
        cx.act(Action::ReadLeases);
        Stage::Borrowing(self)
    }

    pub(super) fn counted(mut self, leases: Leases, cx: &mut Common) -> Stage {
        let is_lost = std::mem::take(&mut self.lost);
        if leases.out == 0 && (is_lost || self.closing.is_some()) {
            cx.backoff.forgive();
            return Self::forget(cx);
        }
        if is_lost {
            // Existing leases keep it from being stopped, and it may be opened again.
            let since = self.suspicion.check.as_ref().map_or(cx.now, |it| it.since);
            let after = pause(cx.now.saturating_sub(since));
            cx.act(Action::RenewUse { after });
        } else if self.closing.is_none() && !self.suspicion.is_checking() {
            self.distrust(leases, cx);
        }
        Stage::Borrowing(self)
    }

    fn distrust(&mut self, leases: Leases, cx: &mut Common) {
        let silent_at = leases.alive_since + cx.policy.recheck.min(TRUST);
        let recheck_at = self.use_until.map_or(silent_at, |it| it.min(silent_at));
        if !self.suspicion.is_raised && recheck_at <= cx.now {
            self.suspicion.is_raised = true;
            cx.act(Action::Suspect);
        }
        self.use_until = self.use_until.filter(|until| cx.now < *until);
        if self.uses_peer && self.use_until.is_none() && leases.out == 0 {
            self.uses_peer = false;
            cx.act(Action::EndUse);
        }
        self.quiet_until = if self.suspicion.is_raised {
            self.use_until
        } else {
            Some(recheck_at)
        };
    }

    /// Gives out no new leases; existing ones may end, at most until the limit has passed.
    pub(super) fn close(mut self, limit: Option<Duration>, cx: &mut Common) -> Stage {
        let until = limit.map(|limit| cx.now + limit);
        let former = self.closing.take().and_then(|closing| closing.until);
        self.suspicion.check = None;
        self.closing = Some(Closing {
            until: [former, until].into_iter().flatten().min(),
        });
        cx.act(Action::Close);
        Stage::Borrowing(self)
    }

    /// Whatever leases are out, the server is not used any more; it may well run on.
    pub(super) fn forget(cx: &mut Common) -> Stage {
        cx.act(Action::End(InstanceEnd::Forgotten));
        cx.rest()
    }

    pub(super) fn body_ended(self, body: u64, cx: &mut Common) -> Stage {
        let (bodies, lives) = (vec![body], None);
        cx.act(Action::Confirm { bodies, lives });
        Stage::Borrowing(self)
    }
}
