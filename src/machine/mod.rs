//! The state machine of one service: it decides everything and does nothing.
//!
//! [`Machine::on`] takes what happened, and says what to do. It has no clock, no lock and no I/O, and imports
//! nothing of the crate: tests, model checkers and fuzzers include this folder as it is. What it needs to know of
//! leases comes with the events, since requests count leases by themselves in one atomic word.
//!
//! # Theory of operation
//!
//! A service is in one [`Stage`] at a time. Each stage is a type of its own, in a file of its own; it takes an event
//! by value and returns the next stage. What all stages share (waiters, backoff, whether another service waits for
//! the address) is in [`Common`], which also collects the actions.
//!
//! ```text
//!             asked                owner, guest
//!  Stopped ----------> Claiming -----------------> Inspecting --- ready ----> Borrowing
//!     ^  ^              |  ^                        |   |  ^                      |
//!     |  |              |  '------- rival ----------'   |  | loading, silent      | retired, dead
//!     |  | swap timeout |                               |  '--'                   v
//!     |  '--------------'                               | refused, down        Stopped
//!     |     '------- other, denied, ready timeout ------|
//!     |                                                 |-- it needs room ---> Room
//!     |                                                 |                       |-- room ---> Inspecting
//!     |                                                 v                       '-- swap timeout, left ---> Stopped
//!     |   spawn failed                               Spawning
//!     |<------------------------------------------------|
//!     |                                                 v
//!     |                         .------------------- Loading ------ ready ----> Serving
//!     |                         | exited, denied,       ^                          |
//!     |                         | ready timeout,        | the port was taken,      | idle, retired, swapped,
//!     |                         | abandoned, stopped    | and is free now          | stopped, dead, exited
//!     |                         v                       |                          |
//!     |   refused           Stopping <------------------+--------------------------'
//!     |<--- AwaitingPort <----- gone                    |
//!     |        |                   \                    |
//!     |        |                    '-> Unkillable (until it is gone after all)
//!     |        |----------------------------------------'
//!     |        '--- another program's server is ready --> Borrowing
//! ```
//!
//! The drawing is the `match` of [`transition`]. Wherever it leads to `Stopped` while callers wait, the service
//! becomes `Claiming` again at once. Serving and Borrowing are the phase *ready*: of an owned instance, and of an
//! external one. The address is held from Inspecting to the end of `AwaitingPort`, but for a guest: a peer has it for
//! the same server. This program does not hold it while Borrowing.
//!
//! A service that needs something beside its address waits in `Room` before Spawning, and looks once more when it has
//! it. It has both as long as it has the address. Another service that waits for what this one has says `Wanted`,
//! `Contested` or `Leave`; a server that serves says with `Offer` that no lease is out.
//!
//! The driver performs the actions of an event in order, then takes the events that answer them: [`drive`] is that
//! loop, and the only one.

mod action;
mod awaiting_port;
mod backoff;
mod borrowing;
mod claiming;
mod common;
mod drive;
mod event;
mod inspecting;
mod journal;
mod keeping;
mod last_answers;
mod loading;
mod pace;
mod phase;
mod policy;
mod room;
mod seen;
mod serving;
mod silence;
mod situation;
mod stopping;
mod waiters;

pub(crate) use self::{
    action::{Action, Failure, InstanceEnd, StopReason, Stopped},
    awaiting_port::{AfterGone, AwaitingPort},
    borrowing::Borrowing,
    claiming::Claiming,
    common::Common,
    drive::{Effects, drive},
    event::{Ask, Claim, Event, Exited, Leases, ReadyAnswer, Time, Unanswered, Want},
    inspecting::{Inspecting, Standing},
    journal::Journal,
    loading::{Loading, Spawning},
    pace::pause,
    policy::Policy,
    room::Room,
    seen::Sight,
    serving::{Look, Serving},
    situation::Situation,
    stopping::Stopping,
};
pub use self::{
    journal::Record,
    phase::{Ownership, Phase},
};

/// The stage of a service, and the callers that wait for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Machine {
    pub(crate) stage: Stage,
    pub(crate) common: Common,
}

/// Where a service stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Stopped,
    /// Waiting for the address.
    Claiming(Claiming),
    /// Looking whether a server is running, before one is started.
    Inspecting(Inspecting),
    /// Waiting for what the process needs beside its address.
    Room(Room),
    /// The process is being created.
    Spawning(Spawning),
    /// The process runs and is not ready.
    Loading(Loading),
    /// An owned instance serves requests.
    Serving(Serving),
    /// An external server serves requests.
    Borrowing(Borrowing),
    /// The process is being ended, or has ended and its group is ended with it.
    Stopping(Stopping),
    /// Nothing of the process is left; its port may still answer.
    AwaitingPort(AwaitingPort),
    /// The process survived KILL.
    Unkillable,
}

impl Machine {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            stage: Stage::Stopped,
            common: Common::new(policy),
        }
    }

    /// Takes an event, and says what to do.
    pub(crate) fn on(&mut self, event: Event, now: Time) -> Vec<Action> {
        let cx = &mut self.common;
        cx.now = now;
        let stage = std::mem::replace(&mut self.stage, Stage::Stopped);
        self.stage = match cx.callers(&stage, event) {
            Some(event) => transition(stage, event, cx),
            None => stage,
        };
        std::mem::take(&mut cx.actions)
    }

    /// When the next `Tick` is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let of_stage = match &self.stage {
            Stage::Stopped => self.common.next_try(),
            Stage::Spawning(_) | Stage::Unkillable => None,
            Stage::Claiming(it) => Some(it.due),
            Stage::Inspecting(it) => Some(it.until),
            Stage::Room(it) => Some(it.due),
            Stage::Loading(it) => Some(it.deadline()),
            Stage::Serving(it) => it.deadline(),
            Stage::Borrowing(it) => it.deadline(),
            Stage::Stopping(it) => Some(it.step_ends),
            Stage::AwaitingPort(it) => Some(it.until),
        };
        let of_answers = self.common.last_answers.deadline();
        let all = of_stage.into_iter().chain(of_answers);
        all.filter(|due| *due != Time::MAX).min()
    }

    /// Whether a probe is of use; one under way is dropped when it is not.
    pub(crate) fn is_probing(&self) -> bool {
        match &self.stage {
            Stage::Inspecting(it) => it.is_probing(),
            Stage::Loading(it) => !it.dying && !it.asks,
            Stage::AwaitingPort(_) => true,
            _ => false,
        }
    }

    /// Whether a server that another program has left behind would be taken over.
    pub(crate) fn takes_over(&self) -> bool {
        matches!(&self.stage, Stage::Inspecting(it) if it.standing == Standing::Owner)
    }

    /// Whether a check of an instance that was ready is of use; one under way is dropped when it is not.
    pub(crate) fn is_checking(&self) -> bool {
        match &self.stage {
            Stage::Serving(it) => it.knocks,
            Stage::Borrowing(it) => it.checks_since.is_some(),
            _ => false,
        }
    }

    /// Whether a look at the use of the port is of use; one under way is dropped when it is not.
    pub(crate) fn is_looking_for_use(&self) -> bool {
        matches!(&self.stage, Stage::Serving(it) if it.look == Look::UnderWay)
    }

    /// Whether an answer to the ready request is of use; the request is broken off when it is not.
    pub(crate) fn asks_to_be_ready(&self) -> bool {
        matches!(&self.stage, Stage::Loading(it) if it.asks && !it.dying)
    }

    /// Whether the end of the stop command is of use; one that runs is broken off when it is not.
    pub(crate) fn is_commanding(&self) -> bool {
        matches!(&self.stage, Stage::Stopping(it) if it.runs_command)
    }

    /// Whether the event means something else if the process has ended.
    pub(crate) fn heeds_death(&self, event: &Event) -> bool {
        let lives = match &self.stage {
            Stage::Loading(it) => !it.dying,
            Stage::Serving(it) => !it.dying,
            _ => false,
        };
        let matters = matches!(
            event,
            Event::Asked { .. }
                | Event::Knocked { .. }
                | Event::Probed { .. }
                | Event::ReadyRequested(_)
                | Event::BodyEnded { .. }
                | Event::Claim(Claim::Uncontested | Claim::Wanted)
        );
        lives && matters
    }

    pub(crate) fn phase(&self) -> Phase {
        match &self.stage {
            Stage::Stopped if self.common.backoff.failed => Phase::Failed,
            Stage::Stopped => Phase::Stopped,
            Stage::Claiming(_)
            | Stage::Inspecting(_)
            | Stage::Room(_)
            | Stage::Spawning(_)
            | Stage::Loading(_) => Phase::Starting,
            Stage::Serving(_) | Stage::Borrowing(_) => Phase::Ready,
            Stage::Stopping(_) | Stage::AwaitingPort(_) => Phase::Stopping,
            Stage::Unkillable => Phase::Failed,
        }
    }

    pub(crate) fn ownership(&self) -> Option<Ownership> {
        match &self.stage {
            Stage::Borrowing(_) => Some(Ownership::External { pid: None }),
            Stage::Loading(_) | Stage::Serving(_) | Stage::Stopping(_) | Stage::Unkillable => {
                Some(Ownership::Owned)
            }
            _ => None,
        }
    }

    pub(crate) fn waiters(&self) -> usize {
        self.common.waiters.len()
    }
}

/// The transitions, all of them. An `Asked` is that of a caller that now waits, a `Left` that of the last one to
/// leave.
#[expect(
    clippy::match_same_arms,
    clippy::too_many_lines,
    reason = "a row for each transition"
)]
fn transition(stage: Stage, event: Event, cx: &mut Common) -> Stage {
    match (stage, event) {
        (stage, Event::Claim(Claim::Leave)) => stage.make_way(cx),

        // A start.
        (Stage::Stopped, Event::Asked { .. }) => cx.claim(),
        (Stage::Stopped, Event::Tick | Event::PolicyChanged(_)) => cx.keep(),
        (Stage::Claiming(_), Event::Asked { .. }) => Stage::Claiming(Claiming::of(cx)),
        (Stage::Claiming(it), Event::Claim(claim)) => it.answered(claim, cx),
        (Stage::Claiming(_), Event::Tick) => Claiming::timed_out(cx),
        (Stage::Inspecting(it), Event::Claim(claim)) => it.answered(claim, cx),
        (Stage::Inspecting(it), Event::Probed { sight, .. }) => it.probed(sight, cx),
        (Stage::Inspecting(it), Event::Tick) => it.timed_out(cx),
        (Stage::Inspecting(it), Event::Left { .. }) => it.left_alone(cx),
        (Stage::Room(it), Event::Asked { .. }) => it.joined(cx),
        (Stage::Room(it), Event::Claim(claim)) => it.answered(claim, cx),
        (Stage::Room(it), Event::Tick) => it.timed_out(cx),
        (Stage::Claiming(_) | Stage::Room(_), Event::Left { .. }) => cx.rest(),
        (Stage::Spawning(it), Event::Left { .. }) => it.left_alone(cx),
        (Stage::Spawning(it), Event::Spawned) => it.spawned(cx),
        (Stage::Spawning(it), Event::SpawnFailed { invalid }) => it.failed(invalid, cx),
        (Stage::Loading(it), Event::Asked { .. }) => it.joined(cx),
        (Stage::Loading(it), Event::Probed { sight, foreign, .. }) => it.probed(sight, foreign, cx),
        (Stage::Loading(it), Event::ReadyRequested(answer)) => it.answered(answer, cx),
        (Stage::Loading(it), Event::Tick) => it.timed_out(cx),
        (Stage::Loading(it), Event::Left { .. }) => it.left_alone(cx),
        (Stage::Loading(it), Event::Dying) => it.dying(),
        (Stage::Loading(it), Event::Exited(exited)) => it.exited(exited, cx),

        // An owned instance.
        (
            Stage::Serving(it),
            Event::Asked {
                suspect, leases, ..
            },
        ) => it.asked(suspect, leases, cx),
        (Stage::Serving(it), Event::Knocked { refused }) => it.knocked(refused, cx),
        (Stage::Serving(it), Event::Unanswered(news)) => it.unanswered(news, cx),
        (Stage::Serving(it), Event::Leases(leases)) => it.counted(leases, cx),
        (Stage::Serving(it), Event::Used { last }) => it.used(last, cx),
        (Stage::Serving(it), Event::Closed) => it.closed(cx),
        (Stage::Serving(it), Event::Claim(claim)) => it.asked_to_make_way(claim, cx),
        (Stage::Serving(it), Event::BodyEnded { body }) => it.body_ended(body, cx),
        (Stage::Serving(it), Event::Tick) => it.timed_out(cx),
        (Stage::Serving(it), Event::Dying) => it.dying(),
        (Stage::Serving(it), Event::Exited(exited)) => it.exited(exited, cx),

        // An external server.
        (Stage::Borrowing(it), Event::Asked { suspect, .. }) => it.asked(suspect, cx),
        (Stage::Borrowing(it), Event::Claim(claim)) => it.renewed(claim, cx),
        (Stage::Borrowing(it), Event::Knocked { refused }) => it.knocked(refused, cx),
        (Stage::Borrowing(it), Event::Unanswered(news)) => it.unanswered(news, cx),
        (Stage::Borrowing(it), Event::Leases(leases)) => it.counted(leases, cx),
        (Stage::Borrowing(it), Event::BodyEnded { body }) => it.body_ended(body, cx),
        (Stage::Borrowing(it), Event::Tick) => it.timed_out(cx),

        // A stop.
        (Stage::Stopping(it), Event::Tick) => it.timed_out(cx),
        (Stage::Stopping(it), Event::StopCommandEnded) => it.command_ended(cx),
        (Stage::Stopping(it), Event::Gone { .. }) => it.gone(cx),
        (Stage::AwaitingPort(it), Event::Probed { sight, .. }) => it.probed(sight, cx),
        (Stage::AwaitingPort(it), Event::Tick) => it.timed_out(cx),
        (Stage::Unkillable, Event::Gone { .. }) => cx.rest(),

        // By hand.
        (stage, Event::StopAsked) => stage.stop_asked(cx),
        (stage, Event::RetireAsked { limit }) => stage.retire_asked(limit, cx),
        (stage, Event::PolicyChanged(former)) => stage.policy_changed(former, cx),

        // Its process has ended, or is being ended.
        (stage, Event::BodyEnded { body }) => {
            let (bodies, lives) = (vec![body], Some(false));
            cx.act(Action::Confirm { bodies, lives });
            stage
        }

        // Everything else comes too late to matter.
        (stage, _) => stage,
    }
}

/// Where each stage begins. A stage leads to another one through these only.
impl Stage {
    fn claiming(cx: &mut Common) -> Self {
        Self::Claiming(Claiming::begin(cx))
    }

    fn inspecting(standing: Standing, respawned: bool, cx: &mut Common) -> Self {
        Self::Inspecting(Inspecting::begin(standing, respawned, cx))
    }

    /// Nothing runs at the address. The process is started when it has all that it needs.
    fn room(port_was_free: bool, respawned: bool, cx: &mut Common) -> Self {
        if !cx.policy.needs_room || cx.has_room {
            return Self::spawning(port_was_free, respawned, cx);
        }
        if cx.waiters.is_empty() && !cx.keeps_ready() {
            return cx.rest();
        }
        Self::Room(Room::begin(respawned, cx))
    }

    fn spawning(port_was_free: bool, respawned: bool, cx: &mut Common) -> Self {
        Self::Spawning(Spawning::begin(port_was_free, respawned, cx))
    }

    fn serving(port_was_free: bool, cx: &mut Common) -> Self {
        Self::Serving(Serving::begin(port_was_free, cx))
    }

    fn borrowing(uses_peer: bool, cx: &mut Common) -> Self {
        Self::Borrowing(Borrowing::begin(uses_peer, cx))
    }

    /// Our process died of a taken port, and the program that has taken it answers as expected.
    fn taken_over(cx: &mut Common) -> Self {
        Self::Borrowing(Borrowing::take_over(cx))
    }

    /// Ends the instance at once, and its process step by step.
    fn stopping(
        reason: StopReason,
        end: InstanceEnd,
        port_was_free: bool,
        cx: &mut Common,
    ) -> Self {
        Stopping::begin(reason, end, port_was_free, cx)
    }

    /// The process has ended; what else is in its group is killed.
    fn ending_group(after: AfterGone, cx: &mut Common) -> Self {
        Stopping::begin_with_group(after, cx)
    }

    fn awaiting_port(after: AfterGone, cx: &mut Common) -> Self {
        AwaitingPort::begin(after, cx)
    }
}

impl Stage {
    /// Now, whatever leases are out. The callers that wait are served by a new start.
    fn stop_asked(self, cx: &mut Common) -> Self {
        cx.backoff.forgive();
        match self {
            Self::Spawning(it) => Self::Spawning(it.cancel(StopReason::Asked)),
            Self::Loading(it) => it.stop(StopReason::Asked, cx),
            Self::Serving(it) => it.cut(StopReason::Asked, cx),
            Self::Borrowing(it) => {
                cx.act(Action::StopsDone(Stopped::External));
                Self::Borrowing(it)
            }
            Self::Stopping(it) => Self::Stopping(it.call_off(cx)),
            Self::AwaitingPort(it) => Self::AwaitingPort(it.call_off(cx)),
            Self::Unkillable => cx.cannot_stop(),
            Self::Claiming(_) | Self::Inspecting(_) | Self::Room(_)
                if cx.policy.keep_ready && cx.waiters.is_empty() =>
            {
                cx.rest()
            }
            // No process of this service runs.
            Self::Stopped | Self::Claiming(_) | Self::Inspecting(_) | Self::Room(_) => {
                cx.act(Action::StopsDone(Stopped::Gone));
                self
            }
        }
    }

    /// No handle asks for it any more: existing leases may end, and a start that no caller waits for is stopped.
    fn retire_asked(self, limit: Option<Time>, cx: &mut Common) -> Self {
        let is_waited_for = !cx.waiters.is_empty();
        match self {
            Self::Serving(it) => it.close(StopReason::Retired, limit, cx),
            Self::Borrowing(it) => it.close(limit, cx),
            Self::Stopping(it) => Self::Stopping(it.call_off(cx)),
            Self::AwaitingPort(it) => Self::AwaitingPort(it.call_off(cx)),
            Self::Unkillable => cx.cannot_stop(),
            stage if is_waited_for => {
                cx.retired = true;
                cx.act(Action::StopsDone(Stopped::Gone));
                stage
            }
            Self::Spawning(it) => Self::Spawning(it.cancel(StopReason::Retired)),
            Self::Loading(it) => it.stop(StopReason::Retired, cx),
            Self::Stopped | Self::Claiming(_) | Self::Inspecting(_) | Self::Room(_) => cx.rest(),
        }
    }

    /// Another service needs its place: no lease is out and none can be taken, or no request waits for the start.
    fn make_way(self, cx: &mut Common) -> Self {
        let stage = match self {
            Self::Serving(it) => return it.make_way(cx),
            stage => stage,
        };
        if cx.retired {
            cx.fail_all(Failure::Stopped);
        }
        match stage {
            stage if !cx.waiters.are_polite() => stage,
            // Nothing was started.
            Self::Claiming(_) | Self::Inspecting(_) | Self::Room(_) => cx.rest(),
            Self::Spawning(it) => Self::Spawning(it.cancel(StopReason::Swap)),
            Self::Loading(it) => it.stop(StopReason::Swap, cx),
            Self::AwaitingPort(it) => Self::AwaitingPort(it.call_off(cx)),
            stage => stage,
        }
    }

    fn policy_changed(self, former: Policy, cx: &mut Common) -> Self {
        match self {
            Self::Inspecting(it) => Self::Inspecting(it.policy_changed(former, cx)),
            Self::Room(it) => it.policy_changed(cx),
            Self::Loading(it) => Self::Loading(it.policy_changed(cx)),
            Self::Serving(_) | Self::Borrowing(_) => {
                cx.act(Action::ReadLeases);
                self
            }
            stage => stage,
        }
    }
}
