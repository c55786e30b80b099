//! From the spawn to a ready server.

use std::time::Duration;

use super::{
    Action, AfterGone, Common, Exited, Failure, InstanceEnd, ReadyAnswer, Sight, Stage, StopReason,
    Time, pause,
};

/// The process is being created.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spawning {
    pub(crate) port_was_free: bool,
    pub(crate) respawned: bool,
    /// It is not needed any more, and stopped as soon as it exists.
    pub(crate) cancelled: Option<StopReason>,
}

/// The process runs and is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Loading {
    pub(crate) since: Time,
    /// The address refused before the spawn, so an answer counts only if our process gives it.
    pub(crate) port_was_free: bool,
    /// It died of a taken port once, and was started again.
    pub(crate) respawned: bool,
    /// Another program was seen on its port.
    pub(crate) foreign: bool,
    /// Its health URL is well, and the ready request is under way.
    pub(crate) asks: bool,
    /// Since when no caller waits for it.
    pub(crate) alone_since: Option<Time>,
    /// The process has ended, and `Exited` is about to say how.
    pub(crate) dying: bool,
    pub(crate) abandon_at: Option<Time>,
    pub(crate) ready_by: Time,
}

impl Spawning {
    pub(super) fn begin(port_was_free: bool, respawned: bool, cx: &mut Common) -> Self {
        cx.act(Action::Spawn);
        Self {
            port_was_free,
            respawned,
            cancelled: None,
        }
    }

    pub(super) fn cancel(self, reason: StopReason) -> Self {
        let cancelled = Some(reason);
        Self { cancelled, ..self }
    }

    pub(super) fn left_alone(self, cx: &Common) -> Stage {
        Stage::Spawning(if cx.retired {
            self.cancel(StopReason::Retired)
        } else {
            self
        })
    }

    pub(super) fn spawned(self, cx: &mut Common) -> Stage {
        if let Some(reason) = self.cancelled {
            return Stage::stopping(reason, InstanceEnd::Stopped, self.port_was_free, cx);
        }
        let loading = Loading {
            since: cx.now,
            port_was_free: self.port_was_free,
            respawned: self.respawned,
            foreign: false,
            asks: false,
            alone_since: cx.waiters.is_empty().then_some(cx.now),
            dying: false,
            abandon_at: None,
            ready_by: Time::MAX,
        };
        let loading = loading.policy_changed(cx);
        cx.probe_for(Duration::ZERO, loading.port_was_free);
        Stage::Loading(loading)
    }

    pub(super) fn failed(self, invalid: bool, cx: &mut Common) -> Stage {
        // The callers that wait although the start was cancelled are served by a new one.
        if self.cancelled.is_none() {
            if invalid {
                cx.backoff.failed = true;
            } else {
                cx.backoff.count_failure(cx.now);
            }
            cx.fail_all(Failure::Spawn);
        }
        cx.rest()
    }
}

impl Loading {
    pub(super) fn deadline(&self) -> Time {
        self.abandon_at
            .map_or(self.ready_by, |it| it.min(self.ready_by))
    }

    /// Sets its times by the policy of now.
    pub(super) fn policy_changed(mut self, cx: &Common) -> Self {
        let grace = cx.policy.abandon_grace.filter(|_| !cx.keeps_ready());
        let alone = self.alone_since.zip(grace);
        self.abandon_at = alone.map(|(since, grace)| since + grace);
        self.ready_by = self.since + cx.policy.ready_timeout;
        self
    }

    pub(super) fn joined(mut self, cx: &Common) -> Stage {
        self.alone_since = None;
        Stage::Loading(self.policy_changed(cx))
    }

    /// A start continues without its waiters, unless the service is retired.
    pub(super) fn left_alone(mut self, cx: &mut Common) -> Stage {
        if cx.retired {
            return self.stop(StopReason::Retired, cx);
        }
        self.alone_since = Some(cx.now);
        Stage::Loading(self.policy_changed(cx))
    }

    pub(super) fn probed(mut self, sight: Sight, foreign: bool, cx: &mut Common) -> Stage {
        if self.dying {
            return Stage::Loading(self);
        }
        self.foreign |= foreign;
        match sight {
            Sight::Ready if cx.policy.ready_request => {
                self.asks = true;
                let handle = cx.waiters.prober();
                cx.act(Action::SendReadyRequest { handle });
            }
            Sight::Ready => return Stage::serving(self.port_was_free, cx),
            Sight::Denied if !foreign => {
                // Another handle's probe may have the right credentials.
                cx.fail_prober(Failure::Denied);
                if cx.waiters.is_empty() {
                    return cx.start_failed(StopReason::Rejected, self.port_was_free);
                }
                cx.probe_for(Duration::ZERO, self.port_was_free);
            }
            _ => self.probe_again(cx),
        }
        Stage::Loading(self)
    }

    fn probe_again(&self, cx: &mut Common) {
        let after = pause(cx.now.saturating_sub(self.since));
        cx.probe_for(after, self.port_was_free);
    }

    /// What came of the ready request.
    pub(super) fn answered(mut self, answer: ReadyAnswer, cx: &mut Common) -> Stage {
        if self.dying || !std::mem::take(&mut self.asks) {
            return Stage::Loading(self);
        }
        match answer {
            ReadyAnswer::Expected => return Stage::serving(self.port_was_free, cx),
            ReadyAnswer::Rejected => {
                cx.fail_all(Failure::ReadyRejected);
                return cx.start_failed(StopReason::Rejected, self.port_was_free);
            }
            // It is sent again when the health URL is well again.
            ReadyAnswer::None => self.probe_again(cx),
        }
        Stage::Loading(self)
    }

    pub(super) fn timed_out(self, cx: &mut Common) -> Stage {
        if self.ready_by <= cx.now {
            cx.fail_all(Failure::ReadyTimeout {
                limit: cx.policy.ready_timeout,
            });
            return cx.start_failed(StopReason::NotReady, self.port_was_free);
        }
        match self.abandon_at {
            Some(at) if at <= cx.now => self.stop(StopReason::Abandoned, cx),
            _ => Stage::Loading(self),
        }
    }

    pub(super) fn stop(self, reason: StopReason, cx: &mut Common) -> Stage {
        Stage::stopping(reason, InstanceEnd::Stopped, self.port_was_free, cx)
    }

    pub(super) fn dying(self) -> Stage {
        let dying = true;
        Stage::Loading(Self { dying, ..self })
    }

    pub(super) fn exited(self, exited: Exited, cx: &mut Common) -> Stage {
        let after = AfterGone::DiedLoading {
            exited,
            port_taken: exited.port_taken || self.foreign,
            port_was_free: self.port_was_free,
            respawned: self.respawned,
        };
        Stage::ending_group(after, cx)
    }
}
