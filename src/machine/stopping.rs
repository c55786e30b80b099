//! From a running process to nothing.

use std::time::Duration;

use super::{
    Action, AfterGone, AwaitingPort, Common, Failure, InstanceEnd, Stage, StopReason, Time,
};

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

impl Common {
    /// Ends the instance at once, and its process step by step.
    pub(super) fn stop(
        &mut self,
        reason: StopReason,
        end: InstanceEnd,
        port_was_free: bool,
    ) -> Stage {
        self.act(Action::End(end));
        let half = self.policy.stop_timeout / 2;
        let mut plan = vec![(Step::Kill, KILL_TIMEOUT), (Step::Terminate, half)];
        if !half.is_zero() {
            plan.push((Step::Terminate, half));
        }
        Stopping::begin(reason, plan, AfterGone::Stopped { port_was_free }, self)
    }

    /// The process has ended; what else is in its group is killed.
    pub(super) fn end_group(&mut self, after: AfterGone) -> Stage {
        let plan = vec![(Step::Kill, KILL_TIMEOUT)];
        Stopping::begin(StopReason::Exited, plan, after, self)
    }
}

impl Stopping {
    fn begin(
        reason: StopReason,
        plan: Vec<(Step, Duration)>,
        after: AfterGone,
        cx: &mut Common,
    ) -> Stage {
        let stopping = Self {
            reason,
            plan,
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
        AwaitingPort::begin(self.after, cx)
    }
}
