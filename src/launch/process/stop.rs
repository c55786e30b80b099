//! Ends an instance: signals its processes, and waits until none of them is left.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{self, Instant};

use super::{Process, detached::Sweep, family::Descendant, os};
use crate::launch::StopSignal;

/// The pauses between two looks at the processes that are left.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A sweep reads the environment of all processes, which takes milliseconds.
const BETWEEN_SWEEPS: Duration = Duration::from_millis(100);

/// With CONT, since a stopped process handles no signal but KILL until it continues.
pub(super) fn signals(stop: StopSignal) -> &'static [Signal] {
    match stop {
        StopSignal::Term => &[Signal::TERM, Signal::CONT],
        StopSignal::Int => &[Signal::INT, Signal::CONT],
        StopSignal::Quit => &[Signal::QUIT, Signal::CONT],
        StopSignal::Hup => &[Signal::HUP, Signal::CONT],
    }
}

pub(super) const KILL: &[Signal] = &[Signal::KILL];

impl Process {
    /// Signals the detached descendants as the group has been signalled; and the members of the group,
    /// if the signals did not reach it.
    pub(super) fn signal_the_rest(&mut self, signals: &'static [Signal], reached_group: bool) {
        self.sweep.order(signals, reached_group);
        drop(self.sweep.begin());
    }

    /// Whether everything has been killed.
    pub(super) fn is_killed(&self) -> bool {
        self.sweep.signals() == KILL
    }

    /// Resolves when neither a member of the group nor a detached descendant is more than a zombie.
    /// Ends nothing by itself. Cancel safe.
    pub(super) async fn all_ended(&mut self) {
        let mut pause = SHORTEST_PAUSE;
        while !self.none_left().await {
            time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn none_left(&mut self) -> bool {
        match self.survivors.group_is_empty(self.group.id()) {
            Some(false) if self.sweep.reaches_group() => return false,
            // Members that signals to the group do not reach are found by the sweep.
            Some(_) => {}
            // The system does not tell who is in the group. A member that still runs most likely holds
            // the pipes; a member that does not is killed together with the watchdog.
            None if self.is_killed() => {}
            None => self.pipes.ended().await,
        }
        self.survivors.none_detached(&self.sweep).await
    }
}

/// The processes of an instance that the last look found alive. While one of them lives, another look
/// at all processes would tell nothing new.
#[derive(Default)]
pub(super) struct Survivors {
    members: Vec<u32>,
    detached: Vec<Descendant>,
    swept: Option<Instant>,
}

impl Survivors {
    /// Whether the group has no member but the watchdog; `None` where the system does not tell.
    fn group_is_empty(&mut self, group: u32) -> Option<bool> {
        self.members.retain(|pid| os::is_member(*pid, group));
        if self.members.is_empty() {
            self.members = os::members(group)?;
        }
        Some(self.members.is_empty())
    }

    async fn none_detached(&mut self, sweep: &Sweep) -> bool {
        self.detached.retain(|descendant| os::lives(*descendant));
        if !self.detached.is_empty() {
            return false;
        }
        if let Some(swept) = self.swept {
            time::sleep_until(swept + BETWEEN_SWEEPS).await;
        }
        if let Some(found) = sweep.begin() {
            self.detached = found.await.unwrap_or_default();
        }
        self.swept = Some(Instant::now());
        // A process may have left the group during the sweep.
        self.detached.is_empty() && self.group_is_empty(sweep.group()) != Some(false)
    }
}
