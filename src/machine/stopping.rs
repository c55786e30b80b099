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
    /// The step under way is the stop command.
    pub(crate) runs_command: bool,
    /// Nothing of the process is left, while the command still runs.
    pub(crate) is_gone: bool,
    pub(crate) after: AfterGone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Command,
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
        if cx.policy.stop_command {
            plan.push((Step::Command, cx.policy.stop_timeout));
        }
        let stopping = Self {
            reason,
            plan,
            step_ends: cx.now,
            runs_command: false,
            is_gone: false,
            after: AfterGone::Stopped { port_was_free },
        };
        stopping.timed_out(cx)
    }

    pub(super) fn begin_with_group(after: AfterGone, cx: &mut Common) -> Stage {
        let mut plan = vec![(Step::Kill, KILL_TIMEOUT)];
        if cx.policy.launcher {
            // It may have started a part of the server before it failed.
            plan.push((Step::Command, cx.policy.stop_timeout));
        }
        let stopping = Self {
            reason: StopReason::Exited,
            plan,
            step_ends: cx.now,
            runs_command: false,
            is_gone: false,
            after,
        };
        stopping.timed_out(cx)
    }

    pub(super) fn timed_out(mut self, cx: &mut Common) -> Stage {
        while self.step_ends <= cx.now {
            if self.is_gone {
                return Stage::awaiting_port(self.after, cx);
            }
            let Some((step, time)) = self.plan.pop() else {
                return self.survived(cx);
            };
            self.step_ends = cx.now + time;
            self.runs_command = step == Step::Command;
            cx.act(match step {
                Step::Command => Action::RunStopCommand(self.reason),
                Step::Terminate => Action::Terminate(self.reason),
                Step::Kill => Action::Kill,
            });
        }
        Stage::Stopping(self)
    }

    /// What it has left is ended by signals.
    pub(super) fn command_ended(mut self, cx: &mut Common) -> Stage {
        if self.runs_command {
            self.step_ends = cx.now;
        }
        self.timed_out(cx)
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
    pub(super) fn gone(mut self, cx: &mut Common) -> Stage {
        if self.runs_command && cx.now < self.step_ends {
            // It may have more to do than to end the process.
            self.is_gone = true;
            return Stage::Stopping(self);
        }
        Stage::awaiting_port(self.after, cx)
    }
}
