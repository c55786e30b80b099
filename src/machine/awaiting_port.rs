//! Nothing of the process is left; its port may still answer.
//!
//! What answers where the process died tells what it died of.

use std::time::Duration;

use super::{Action, Common, Exited, Failure, InstanceEnd, Sight, Stage, Standing, Time, pause};

/// How long a port may answer after its process is gone.
const TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AwaitingPort {
    pub(crate) since: Time,
    pub(crate) until: Time,
    pub(crate) after: AfterGone,
}

/// What is decided when nothing of the process is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum AfterGone {
    /// It was stopped, and its waiters, if any, are served by a new one.
    Stopped { port_was_free: bool },
    /// It died before it was ready: its waiters want to know why.
    DiedLoading {
        exited: Exited,
        port_taken: bool,
        port_was_free: bool,
        respawned: bool,
    },
    /// It died of a taken port while it seemed ready: another program may have answered all the time.
    DiedServing { unproven: bool },
}

impl AfterGone {
    pub(super) fn call_off(self, cx: &mut Common) -> Self {
        let port_was_free = match self {
            Self::Stopped { port_was_free } | Self::DiedLoading { port_was_free, .. } => {
                port_was_free
            }
            Self::DiedServing { .. } => {
                cx.act(Action::End(InstanceEnd::Died));
                false
            }
        };
        Self::Stopped { port_was_free }
    }
}

impl AwaitingPort {
    pub(super) fn begin(after: AfterGone, cx: &mut Common) -> Stage {
        if after
            == (AfterGone::Stopped {
                port_was_free: false,
            })
        {
            // The port never was this process's alone.
            return cx.rest();
        }
        cx.probe(Duration::ZERO);
        let since = cx.now;
        // Of a server that another program has ended, the port alone tells.
        let limit = if cx.policy.launcher {
            cx.policy.stop_timeout.max(TIMEOUT)
        } else {
            TIMEOUT
        };
        Stage::AwaitingPort(Self {
            since,
            until: since + limit,
            after,
        })
    }

    pub(super) fn call_off(self, cx: &mut Common) -> Self {
        let after = self.after.call_off(cx);
        Self { after, ..self }
    }

    pub(super) fn probed(self, sight: Sight, cx: &mut Common) -> Stage {
        let stopped = matches!(self.after, AfterGone::Stopped { .. });
        if stopped && sight != Sight::Refused {
            cx.probe(pause(cx.now.saturating_sub(self.since)));
            return Stage::AwaitingPort(self);
        }
        self.conclude(sight, cx)
    }

    pub(super) fn timed_out(self, cx: &mut Common) -> Stage {
        if cx.now < self.until {
            return Stage::AwaitingPort(self);
        }
        self.conclude(Sight::Silent, cx)
    }

    fn conclude(self, sight: Sight, cx: &mut Common) -> Stage {
        let may_load = matches!(sight, Sight::Loading | Sight::Silent);
        let after = if cx.retired && cx.waiters.is_empty() {
            // A retired service does not start again for callers that have gone.
            self.after.call_off(cx)
        } else {
            self.after
        };
        match after {
            AfterGone::Stopped { .. } => {
                if cx.policy.launcher && sight != Sight::Refused {
                    cx.still_answers();
                }
                cx.rest()
            }
            AfterGone::DiedLoading {
                exited,
                port_taken,
                port_was_free,
                respawned,
            } => match sight {
                Sight::Ready => Stage::borrowing(false, cx),
                Sight::Refused if port_taken && !respawned => Stage::room(true, true, cx),
                // Another program was quicker with the same server, and waits for its model. What our process died
                // of may not be in its output: a server that ends at once can lose its last words.
                _ if may_load && (port_taken || port_was_free) && !respawned => {
                    Stage::inspecting(Standing::Owner, true, cx)
                }
                _ => {
                    cx.backoff.count_failure(cx.now);
                    cx.fail_all(Failure::Exited(exited));
                    cx.rest()
                }
            },
            AfterGone::DiedServing { .. } if sight == Sight::Ready => Stage::taken_over(cx),
            AfterGone::DiedServing { unproven } => {
                cx.died(unproven);
                cx.rest()
            }
        }
    }
}
