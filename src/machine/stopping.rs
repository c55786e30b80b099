//! From a running process to nothing.

use std::time::Duration;

use super::{Action, AfterGone, Common, Failure, InstanceEnd, Stage, StopReason, Time};

/// How long a killed group may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// The process is being ended, or has ended and its group is ended with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Stopping {
    pub(crate) reason: StopReason,
    /// What is tried next, the last first, and how long it gets.
    pub(crate) plan: Vec<(Step, Duration)>,
    pub(crate) step_ends: Time,
    pub(crate) after: AfterGone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Terminate,
    Kill,
}

impl Stopping {
    pub(super) fn begin(
        reason: StopReason,
        end: InstanceEnd,
        port_was_free: bool,
        cx: &mut Common,
    ) -> Stage {
        cx.act(Action::End(end));
        let half = cx.policy.stop_timeout / 2;
        let mut plan = vec![(Step::Kill, KILL_TIMEOUT), (Step::Terminate, half)];
        if !half.is_zero() {
            plan.push((Step::Terminate, half));
        }
        let stopping = Self {
            reason,
            plan,
            step_ends: cx.now,
            after: AfterGone::Stopped { port_was_free },
        };
        stopping.timed_out(cx)
    }

    pub(super) fn begin_with_group(after: AfterGone, cx: &mut Common) -> Stage {
        let stopping = Self {
            reason: StopReason::Exited,
            plan: vec![(Step::Kill, KILL_TIMEOUT)],
            step_ends: cx.now,
            after,
        };
        stopping.timed_out(cx)
    }

    pub(super) fn timed_out(mut self, cx: &mut Common) -> Stage {
        while self.step_ends <= cx.now {
            let Some((step, time)) = self.plan.pop() else {
                return self.survived(cx);
            };
            self.step_ends = cx.now + time;
            cx.act(match step {
                Step::Terminate => Action::Terminate(self.reason),
                Step::Kill => Action::Kill,
            });
        }
        Stage::Stopping(self)
    }

    fn survived(self, cx: &mut Common) -> Stage {
        if let AfterGone::DiedServing { unproven } = self.after {
            cx.died(unproven);
        }
        cx.backoff.failed = true;
        cx.fail_all(Failure::Unkillable);
        cx.cannot_stop()
    }

    /// Whatever the process died of, it is not started again by itself, nor another program's server used in its
    /// place.
    pub(super) fn call_off(self, cx: &mut Common) -> Self {
        let after = self.after.call_off(cx);
        Self { after, ..self }
    }

    /// Nothing of the process is left.
    pub(super) fn gone(self, cx: &mut Common) -> Stage {
        Stage::awaiting_port(self.after, cx)
    }
}
