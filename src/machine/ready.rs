//! While requests are served: idleness, suspicion, making way for another.

use std::time::Duration;

use super::{Action, End, Leases, Ownership, Reason, Sight, Stage, State, Time};

/// A run that has been healthy for so long is no failed one.
const PROVEN: Duration = Duration::from_secs(60);
/// How long another's server is trusted after a sign of life: nobody tells us when it ends.
const EXTERNAL_RECHECK: Duration = Duration::from_secs(1);
/// At most one check in this time.
const CHECK_PAUSE: Duration = Duration::from_secs(1);
/// A server that does not answer well is condemned by so many probes …
const STRIKES: u8 = 3;
/// … that began so far apart.
const STRIKE_PAUSE: Duration = Duration::from_millis(2500);

/// Requests are served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ready {
    pub(super) ownership: Ownership,
    pub(super) port_was_free: bool,
    /// From then on, an exit is no failed start.
    pub(super) proven_at: Time,
    /// When to look at the leases; without it, the last lease to end wakes us.
    quiet_at: Option<Time>,
    /// We have made the next request come to us.
    suspect: bool,
    check: Option<Check>,
    pub(super) next_check: Time,
    closing: Option<Closing>,
}

/// A probe of a run under suspicion.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Check {
    strikes: u8,
    /// It is condemned, and goes as soon as no lease is out.
    condemned: bool,
}

/// No new leases are given out; what happens when the old ones have ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Closing {
    reason: Reason,
    until: Option<Time>,
}

impl Ready {
    pub(super) fn deadline(&self) -> Option<Time> {
        match &self.closing {
            Some(closing) => closing.until,
            None => self.quiet_at,
        }
    }

    #[cfg(test)]
    pub(super) fn times(&mut self) -> impl Iterator<Item = &mut Time> {
        // Not `proven_at` and `next_check`, which are longer than anything that is tried.
        let closing = self.closing.as_mut();
        let until = closing.and_then(|closing| closing.until.as_mut());
        self.quiet_at.iter_mut().chain(until)
    }

    pub(super) fn is_checking(&self) -> bool {
        self.check.as_ref().is_some_and(|check| !check.condemned)
    }

    pub(super) fn is_retired(&self) -> bool {
        let closing = self.closing.as_ref();
        closing.is_some_and(|closing| closing.reason == Reason::Retired)
    }

    /// Leases protect what we started; another's server is not ours to harm.
    fn is_protected_by(&self, leases: usize) -> bool {
        self.ownership == Ownership::Owned && leases > 0
    }
}

impl State {
    pub(super) fn become_ready(&mut self, ownership: Ownership, port_was_free: bool) {
        self.act(Action::Open(ownership));
        self.enter_ready(ownership, port_was_free);
    }

    pub(super) fn enter_ready(&mut self, ownership: Ownership, port_was_free: bool) {
        self.failed = false;
        self.stage = Stage::Ready(Ready {
            ownership,
            port_was_free,
            proven_at: self.now + PROVEN,
            quiet_at: None,
            suspect: false,
            check: None,
            next_check: self.now + CHECK_PAUSE,
            closing: None,
        });
        self.grant_all();
        if self.rival {
            self.close_for_rival();
        } else {
            self.act(Action::Look);
        }
    }

    pub(super) fn asked_while_ready(&mut self, suspect: bool, leases: usize) {
        let Stage::Ready(ready) = &mut self.stage else {
            return;
        };
        if ready.closing.is_some() {
            return;
        }
        let just_checked = ready.check.is_none() && self.now < ready.next_check;
        if !suspect || just_checked || ready.is_protected_by(leases) {
            self.grant_all();
        } else if ready.check.is_none() {
            ready.check = Some(Check {
                strikes: 0,
                condemned: false,
            });
            self.probe(Duration::ZERO);
        }
    }

    /// A probe of a run under suspicion.
    pub(super) fn checked(&mut self, sight: Sight, took: Duration, leases: usize) {
        let Stage::Ready(ready) = &mut self.stage else {
            return;
        };
        let protected = ready.is_protected_by(leases);
        let Some(check) = &mut ready.check else {
            return;
        };
        // Whoever is asked for credentials talks to a server that lives.
        if matches!(sight, Sight::Wanted | Sight::Status(401 | 403)) {
            return self.trust();
        }
        check.strikes += 1;
        let condemned = sight == Sight::Refused || check.strikes >= STRIKES;
        if protected {
            self.end_check();
        } else if !condemned {
            self.probe(STRIKE_PAUSE.saturating_sub(took));
        } else if ready.ownership == Ownership::External {
            self.act(Action::End(End::Died));
            self.rest();
        } else {
            check.condemned = true;
            self.act(Action::CloseIfIdle);
        }
    }

    fn trust(&mut self) {
        self.act(Action::Trust);
        if let Stage::Ready(ready) = &mut self.stage {
            ready.suspect = false;
        }
        self.end_check();
    }

    fn end_check(&mut self) {
        let Stage::Ready(ready) = &mut self.stage else {
            return;
        };
        ready.check = None;
        ready.next_check = self.now + CHECK_PAUSE;
        self.grant_all();
        self.act(Action::Look);
    }

    pub(super) fn ready_timeouts(&mut self) {
        let Stage::Ready(ready) = &mut self.stage else {
            return;
        };
        match &ready.closing {
            Some(closing) if closing.until.is_some_and(|until| until <= self.now) => {
                self.cut(Reason::Retired);
            }
            Some(_) => {}
            None => {
                ready.quiet_at = None;
                self.act(Action::Look);
            }
        }
    }

    /// What the lease word says decides about idleness.
    pub(super) fn looked(&mut self, leases: Leases) {
        let Stage::Ready(ready) = &mut self.stage else {
            return;
        };
        if let Some(closing) = &ready.closing {
            let reason = closing.reason;
            return if leases.out == 0 {
                self.leave(reason);
            };
        }
        if ready.check.as_ref().is_some_and(|check| check.condemned) {
            return if leases.out == 0 {
                self.act(Action::CloseIfIdle);
            } else {
                self.end_check();
            };
        }
        if self.waiters.is_empty() {
            self.look_for_idleness(leases);
        }
    }

    fn look_for_idleness(&mut self, leases: Leases) {
        let (now, recheck, idle_stop) = (self.now, self.policy.recheck, self.policy.idle_stop);
        let Stage::Ready(ready) = &mut self.stage else {
            return;
        };
        let (recheck, idle_stop) = match ready.ownership {
            Ownership::External => (recheck.min(EXTERNAL_RECHECK), None),
            Ownership::Owned if leases.out == 0 => (recheck, idle_stop),
            // The last lease to end wakes us.
            Ownership::Owned => return ready.quiet_at = None,
        };
        let idle_at = idle_stop.map(|idle_stop| leases.idle_since + idle_stop);
        if idle_at.is_some_and(|idle_at| idle_at <= now) {
            return self.act(Action::CloseIfIdle);
        }
        let recheck_at = leases.alive_since + recheck;
        let raise = !ready.suspect && recheck_at <= now;
        ready.suspect |= raise;
        let recheck_at = (!ready.suspect).then_some(recheck_at);
        ready.quiet_at = [idle_at, recheck_at].into_iter().flatten().min();
        if raise {
            self.act(Action::Suspect);
        }
    }

    /// The lease word is closed, and no lease is out.
    pub(super) fn closed(&mut self) {
        let Stage::Ready(ready) = &self.stage else {
            return;
        };
        let condemned = ready.check.as_ref().is_some_and(|check| check.condemned);
        self.leave(if condemned {
            Reason::Unhealthy
        } else {
            Reason::Idle
        });
    }

    pub(super) fn close_for_rival(&mut self) {
        match &self.stage {
            Stage::Ready(ready) if ready.ownership == Ownership::Owned => {
                self.close(Reason::Swap, None);
            }
            _ => {}
        }
    }

    /// Gives out no new leases; what is out may end in peace.
    pub(super) fn close(&mut self, reason: Reason, limit: Option<Duration>) {
        let until = limit.map(|limit| self.now + limit);
        let Stage::Ready(ready) = &mut self.stage else {
            return;
        };
        ready.check = None;
        ready.closing = Some(match ready.closing.take() {
            // It is retired for good, and in time, whoever wants the endpoint meanwhile.
            Some(closing) if closing.reason == Reason::Retired => Closing {
                until: [closing.until, until].into_iter().flatten().min(),
                ..closing
            },
            _ => Closing { reason, until },
        });
        self.act(Action::Close);
    }

    /// Nobody waits for our endpoint any more, so that nobody has to queue behind it.
    pub(super) fn rival_left(&mut self) {
        self.rival = false;
        let Stage::Ready(ready) = &mut self.stage else {
            return;
        };
        if ready
            .closing
            .as_ref()
            .is_some_and(|closing| closing.reason == Reason::Swap)
        {
            ready.closing = None;
            // To reopen is to trust: a silence that goes on is told again.
            ready.suspect = false;
            self.act(Action::Reopen(Ownership::Owned));
            self.grant_all();
            self.act(Action::Look);
        }
    }

    /// No lease is out and none can be taken.
    fn leave(&mut self, reason: Reason) {
        // A run that ends in peace has proved good.
        if reason != Reason::Unhealthy {
            self.forgive();
        }
        self.end_ready(reason, End::Idle);
    }

    /// Leases or not.
    pub(super) fn cut(&mut self, reason: Reason) {
        self.end_ready(reason, End::Stopped);
    }

    fn end_ready(&mut self, reason: Reason, end: End) {
        let Stage::Ready(ready) = &self.stage else {
            return;
        };
        match ready.ownership {
            Ownership::Owned => {
                let port_was_free = ready.port_was_free;
                self.stop_run(reason, end, port_was_free);
            }
            Ownership::External => {
                self.act(Action::End(End::Forgotten));
                self.rest();
            }
        }
    }
}
