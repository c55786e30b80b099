//! From a running process to nothing.

use std::time::Duration;

use super::{
    Action, End, Exited, Failure, Ownership, Reason, Sight, Stage, State, Time, pause,
    start::Spawning,
};

/// How long a killed group may take to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a port may go on answering after its process is gone.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Our process is being ended, or has ended and takes its group with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stopping {
    reason: Reason,
    step: Step,
    step_ends: Time,
    /// How long each of the two TERMs gets.
    half: Duration,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    Terminated,
    TerminatedAgain,
    Killed,
}

/// What is decided when nothing is left of the process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ending {
    /// It was stopped, and its waiters, if any, are served by a new one.
    Stopped { port_was_free: bool },
    /// It died before it was ready: its waiters want to know why.
    DiedLoading {
        exited: Exited,
        port_taken: bool,
        port_was_free: bool,
        respawned: bool,
    },
    /// It died of a taken port while it seemed ready: another may have answered all the time.
    DiedReady { unproven: bool },
}

impl Stopping {
    pub(super) fn deadline(&self) -> Time {
        self.step_ends
    }

    #[cfg(test)]
    pub(super) fn time(&mut self) -> &mut Time {
        &mut self.step_ends
    }
}

impl State {
    /// Ends the run, and its process by and by.
    pub(super) fn stop_run(&mut self, reason: Reason, end: End, port_was_free: bool) {
        self.act(Action::End(end));
        self.act(Action::Terminate(reason));
        let half = self.policy.stop_timeout / 2;
        self.stage = Stage::Stopping(Stopping {
            reason,
            step: Step::Terminated,
            step_ends: self.now + half,
            half,
            ending: Ending::Stopped { port_was_free },
        });
        if half.is_zero() {
            self.stopping_timeouts();
        }
    }

    /// The process has ended; what else is in its group goes too.
    fn bury(&mut self, ending: Ending) {
        self.act(Action::Kill);
        self.stage = Stage::Stopping(Stopping {
            reason: Reason::Exited,
            step: Step::Killed,
            step_ends: self.now + KILL_TIMEOUT,
            half: Duration::ZERO,
            ending,
        });
    }

    pub(super) fn stopping_timeouts(&mut self) {
        let now = self.now;
        let Stage::Stopping(stopping) = &mut self.stage else {
            return;
        };
        while stopping.step_ends <= now {
            match stopping.step {
                Step::Terminated if stopping.half.is_zero() => {
                    stopping.step = Step::TerminatedAgain;
                }
                Step::Terminated => {
                    stopping.step = Step::TerminatedAgain;
                    stopping.step_ends = now + stopping.half;
                    self.actions.push(Action::Terminate(stopping.reason));
                }
                Step::TerminatedAgain => {
                    stopping.step = Step::Killed;
                    stopping.step_ends = now + KILL_TIMEOUT;
                    self.actions.push(Action::Kill);
                }
                Step::Killed => return self.survived(),
            }
        }
    }

    fn survived(&mut self) {
        if let Stage::Stopping(stopping) = &self.stage
            && let Ending::DiedReady { unproven } = stopping.ending
        {
            self.died(unproven);
        }
        self.stage = Stage::Unkillable;
        self.failed = true;
        self.fail_all(Failure::Unkillable);
        self.act(Action::Settled { killed: false });
    }

    /// Now, whatever leases are out. Who waits is served by a new start.
    pub(super) fn stop_asked(&mut self) {
        self.forgive();
        match &mut self.stage {
            Stage::Spawning(spawning) => spawning.unwanted = Some(Reason::Asked),
            Stage::Loading(loading) => {
                let port_was_free = loading.port_was_free;
                self.stop_run(Reason::Asked, End::Stopped, port_was_free);
            }
            Stage::Ready(_) => self.cut(Reason::Asked),
            Stage::Stopping(_) | Stage::Settling { .. } => self.call_off(),
            Stage::Unkillable => self.act(Action::Settled { killed: false }),
            // Nothing of ours runs.
            Stage::Stopped | Stage::Claiming { .. } | Stage::Looking { .. } => {
                self.act(Action::Settled { killed: true });
            }
        }
    }

    /// No handle wants it any more: what is out may end in peace, what nobody waits for is stopped.
    pub(super) fn retire_asked(&mut self, limit: Option<Duration>) {
        let wanted = !self.waiters.is_empty();
        match &mut self.stage {
            Stage::Ready(_) => self.close(Reason::Retired, limit),
            Stage::Stopping(_) | Stage::Settling { .. } => self.call_off(),
            Stage::Unkillable => self.act(Action::Settled { killed: false }),
            _ if wanted => self.act(Action::Settled { killed: true }),
            Stage::Spawning(Spawning { unwanted, .. }) => *unwanted = Some(Reason::Retired),
            Stage::Loading(loading) => {
                let port_was_free = loading.port_was_free;
                self.stop_run(Reason::Retired, End::Stopped, port_was_free);
            }
            Stage::Stopped | Stage::Claiming { .. } | Stage::Looking { .. } => self.rest(),
        }
    }

    /// Whatever the process died of: it is not started again by itself, nor another's server used
    /// in its place.
    fn call_off(&mut self) {
        let (Stage::Stopping(Stopping { ending, .. }) | Stage::Settling { ending, .. }) =
            &mut self.stage
        else {
            return;
        };
        let port_was_free = match *ending {
            Ending::Stopped { port_was_free } | Ending::DiedLoading { port_was_free, .. } => {
                port_was_free
            }
            Ending::DiedReady { .. } => {
                self.actions.push(Action::End(End::Died));
                false
            }
        };
        *ending = Ending::Stopped { port_was_free };
    }

    pub(super) fn exited(&mut self, exited: Exited) {
        match &self.stage {
            Stage::Loading(loading) => {
                let ending = Self::ending_of_start(loading, exited);
                self.bury(ending);
            }
            Stage::Ready(ready) if ready.ownership == Ownership::Owned => {
                let unproven = !exited.served && self.now < ready.proven_at;
                let port_was_free = ready.port_was_free;
                // Retired, it is not to go on as another's.
                if exited.port_taken && !ready.is_retired() {
                    self.act(Action::Close);
                    return self.bury(Ending::DiedReady { unproven });
                }
                self.died(unproven);
                self.bury(Ending::Stopped { port_was_free });
            }
            // Awaited: what counts is when all of its group is gone.
            _ => {}
        }
    }

    /// The run ended by itself, which makes it a failed one unless it had proved good.
    fn died(&mut self, unproven: bool) {
        self.act(Action::End(End::Died));
        if unproven {
            self.count_failure();
        } else {
            self.forgive();
        }
    }

    /// Nothing of the process is left.
    pub(super) fn gone(&mut self) {
        match &self.stage {
            Stage::Stopping(stopping) => {
                let ending = stopping.ending.clone();
                self.settle(ending);
            }
            Stage::Unkillable => self.rest(),
            _ => {}
        }
    }

    fn settle(&mut self, ending: Ending) {
        let look = match &ending {
            Ending::Stopped { port_was_free } => *port_was_free,
            Ending::DiedLoading { .. } | Ending::DiedReady { .. } => true,
        };
        if !look {
            return self.rest();
        }
        self.stage = Stage::Settling {
            until: self.now + SETTLE_TIMEOUT,
            ending,
        };
        self.probe(Duration::ZERO);
    }

    pub(super) fn probed_while_settling(&mut self, sight: Sight, took: Duration) {
        let Stage::Settling { until, ending } = &self.stage else {
            return;
        };
        match ending.clone() {
            Ending::Stopped { .. } if sight == Sight::Refused => self.rest(),
            Ending::Stopped { .. } => {
                let since = self
                    .now
                    .saturating_sub(until.saturating_sub(SETTLE_TIMEOUT));
                self.probe(pause(took, since));
            }
            ending => self.conclude(&ending, sight),
        }
    }

    pub(super) fn settle_timeout(&mut self) {
        let Stage::Settling { until, ending } = &self.stage else {
            return;
        };
        if *until <= self.now {
            let ending = ending.clone();
            self.conclude(&ending, Sight::Silent);
        }
    }

    /// What answers where our process died tells what it died of.
    fn conclude(&mut self, ending: &Ending, sight: Sight) {
        match *ending {
            Ending::Stopped { .. } => self.rest(),
            Ending::DiedLoading { .. } if sight == Sight::Wanted => self.become_external(),
            Ending::DiedLoading {
                port_taken: true,
                respawned: false,
                ..
            } if sight == Sight::Refused => {
                self.spawn(true, true);
            }
            // Another program was quicker with the same server, and waits for its model. What ours
            // died of may not be in its output: a server that ends at once can lose its last words.
            Ending::DiedLoading {
                port_taken,
                port_was_free,
                respawned: false,
                ..
            } if (port_taken || port_was_free) && is_loading(sight) => self.look_again(),
            Ending::DiedLoading { exited, .. } => {
                self.count_failure();
                self.fail_all(Failure::Exited(exited));
                self.rest();
            }
            Ending::DiedReady { .. } if sight == Sight::Wanted => {
                self.act(Action::Release);
                self.rival = false;
                self.act(Action::Reopen(Ownership::External));
                self.enter_ready(Ownership::External, false);
            }
            Ending::DiedReady { unproven } => {
                self.died(unproven);
                self.rest();
            }
        }
    }
}

/// Whether it may be a server on its way to ready.
fn is_loading(sight: Sight) -> bool {
    matches!(sight, Sight::Status(503) | Sight::Silent | Sight::Broken)
}
