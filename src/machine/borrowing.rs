//! An external server serves requests: it is looked after less than an owned one, and never stopped.
//!
//! Nothing reports its end. So leases are taken without a look for at most [`TRUST`] after the last sign of life; the
//! next request begins a check: one connection to the address, with no request on it. A peer's server can be used safely
//! only while the peer knows of the use, so the check renews that first, and between checks the use can end.

use std::time::Duration;

use super::{
    Action, Claim, Common, InstanceEnd, Leases, Ownership, Stage, Time, Unanswered, pause,
    silence::{self, Silence},
};

/// How long an external server is trusted after a sign of life.
const TRUST: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Borrowing {
    /// The server is a peer's, which knows that this program uses it.
    pub(crate) uses_peer: bool,
    /// Until then, the use of a peer's server is kept even if no lease is out.
    pub(crate) use_until: Option<Time>,
    /// When to read the leases. Without it, the end of the last lease wakes the driver.
    pub(crate) quiet_until: Option<Time>,
    /// The next request has to ask, since no lease can be taken without.
    pub(crate) is_suspect: bool,
    /// When a check last showed that the server is there.
    pub(crate) trusted_at: Time,
    /// When the check under way began.
    pub(crate) checks_since: Option<Time>,
    pub(crate) silence: Option<Silence>,
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
        cx.release();
        cx.act(Action::Open(Ownership::External { pid: None }));
        Self::enter(uses_peer, cx)
    }

    pub(super) fn take_over(cx: &mut Common) -> Self {
        cx.release();
        cx.act(Action::Reopen(Ownership::External { pid: None }));
        Self::enter(false, cx)
    }

    fn enter(uses_peer: bool, cx: &mut Common) -> Self {
        cx.retired = false;
        cx.backoff.failed = false;
        cx.grant_all();
        cx.act(Action::ReadLeases);
        Self {
            uses_peer,
            use_until: uses_peer.then(|| cx.now + TRUST),
            quiet_until: None,
            is_suspect: false,
            trusted_at: cx.now,
            checks_since: None,
            silence: None,
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
        if !suspect {
            cx.grant_all();
        } else if self.checks_since.is_none() {
            self.checks_since = Some(cx.now);
            let after = Duration::ZERO;
            cx.act(Action::RenewUse { after });
        }
        Stage::Borrowing(self)
    }

    /// Whether the server is still a peer's.
    pub(super) fn renewed(mut self, claim: Claim, cx: &mut Common) -> Stage {
        if self.checks_since.is_none() {
            return Stage::Borrowing(self);
        }
        match claim {
            Claim::Guest { open: true } | Claim::Free => {
                self.uses_peer = claim != Claim::Free;
                cx.act(Action::Knock);
            }
            Claim::Lost => {
                self.lost = true;
                cx.act(Action::ReadLeases);
            }
            _ => {}
        }
        Stage::Borrowing(self)
    }

    /// What a connection to the address showed.
    pub(super) fn knocked(mut self, refused: bool, cx: &mut Common) -> Stage {
        if self.checks_since.take().is_none() {
            return Stage::Borrowing(self);
        }
        if refused {
            return self.died(cx);
        }
        cx.act(Action::Trust);
        (self.is_suspect, self.trusted_at) = (false, cx.now);
        self.use_until = self.uses_peer.then(|| cx.now + TRUST);
        cx.grant_all();
        cx.act(Action::ReadLeases);
        Stage::Borrowing(self)
    }

    /// Requests ended without an answer. Only the owner of a server can replace it: of a peer's that is asked for, and
    /// only where the system tells that the server does nothing.
    pub(super) fn unanswered(mut self, news: Unanswered, cx: &mut Common) -> Stage {
        let is_unresponsive = silence::judge(&mut self.silence, news, cx);
        if is_unresponsive && news.cpu.is_some() && self.uses_peer {
            return self.died(cx);
        }
        Stage::Borrowing(self)
    }

    fn died(self, cx: &mut Common) -> Stage {
        cx.condemned = self.uses_peer;
        cx.act(Action::End(InstanceEnd::Died));
        cx.rest()
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
            let since = self.checks_since.unwrap_or(cx.now);
            let after = pause(cx.now.saturating_sub(since));
            cx.act(Action::RenewUse { after });
        } else if self.closing.is_none() && self.checks_since.is_none() {
            self.distrust(leases, cx);
        }
        Stage::Borrowing(self)
    }

    fn distrust(&mut self, leases: Leases, cx: &mut Common) {
        let silent_at = leases.alive_since.max(self.trusted_at) + TRUST;
        let recheck_at = self.use_until.map_or(silent_at, |it| it.min(silent_at));
        if !self.is_suspect && recheck_at <= cx.now {
            self.is_suspect = true;
            cx.act(Action::Suspect);
        }
        self.use_until = self.use_until.filter(|until| cx.now < *until);
        if self.uses_peer && self.use_until.is_none() && leases.out == 0 {
            self.uses_peer = false;
            cx.act(Action::EndUse);
        }
        self.quiet_until = if self.is_suspect {
            self.use_until
        } else {
            Some(recheck_at)
        };
    }

    /// Gives out no new leases; existing ones may end, at most until the limit has passed.
    pub(super) fn close(mut self, limit: Option<Duration>, cx: &mut Common) -> Stage {
        let until = limit.map(|limit| cx.now + limit);
        let former = self.closing.take().and_then(|closing| closing.until);
        self.checks_since = None;
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
