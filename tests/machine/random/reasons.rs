//! That each error has its reason, and that what the machine says of itself is so.

use super::{
    Violation, ensure,
    promises::{KILL_TIMEOUT, Promises, Standing, Told, Waiter},
};
use crate::machine::{Claim, Event, Failure, Machine, Phase, ReadyAnswer, Sight, Time};

impl Promises {
    /// No caller gets an answer that is not true.
    pub(super) fn is_true(
        &self,
        waiters: &[u64],
        failure: &Failure,
        event: &Event,
        now: Time,
    ) -> Result<(), Violation> {
        let saw = match event {
            Event::Probed { sight, .. } => Some(*sight),
            _ => None,
        };
        let all = |holds: &dyn Fn(&Waiter) -> bool| {
            let those = waiters.iter().filter_map(|id| self.waiters.get(id));
            those.into_iter().all(holds)
        };
        let is_so = match failure {
            Failure::Spawn => matches!(event, Event::SpawnFailed { .. }),
            Failure::Exited(how) => self.last_exit.is_some_and(|(it, _)| it == *how),
            Failure::ReadyTimeout { limit } => {
                let process = self.process.as_ref();
                let since = process.map_or(self.looking_since, |process| process.since);
                *limit == self.policy.ready_timeout && now >= since + *limit
            }
            Failure::Denied => self.process.is_some() && saw == Some(Sight::Denied),
            Failure::Held | Failure::NoRoom => {
                let waited = |it: &Waiter| now >= it.since + it.swap_timeout;
                *event == Event::Claim(Claim::NoRoom) || all(&waited)
            }
            Failure::AddressInUse => {
                self.process.is_none() && matches!(saw, Some(Sight::Denied | Sight::Other))
            }
            Failure::CrashLoop {
                failures,
                retry_after,
            } => {
                let pause = self.failures.not_before.saturating_sub(now);
                !pause.is_zero() && (self.failures.count, pause) == (*failures, *retry_after)
            }
            Failure::Overloaded { waiters } => match event {
                Event::Asked { ask, .. } => {
                    ask.max_waiters.is_some_and(|most| *waiters >= most)
                        && self.waiters.len() == waiters + 1
                }
                _ => false,
            },
            Failure::Unkillable => {
                let process = self.process.as_ref();
                let killed = process.and_then(|process| process.killed);
                killed.is_some_and(|killed| now >= killed + KILL_TIMEOUT)
            }
            Failure::ReadyRejected => *event == Event::ReadyRequested(ReadyAnswer::Rejected),
            Failure::StillAnswers => self.process.is_none() && self.policy.launcher,
            Failure::Stopped => self.retired && *event == Event::Claim(Claim::Leave),
            Failure::ShutDown => match event {
                Event::Dismissed { handle } => all(&|it: &Waiter| it.handle == *handle),
                _ => false,
            },
        };
        ensure(is_so, "an error that is not so")
    }

    /// What the machine says of itself.
    pub(super) fn agrees_with(&self, machine: &Machine) -> Result<(), Violation> {
        ensure(
            machine.waiters() == self.waiters.len(),
            "it tells of others who wait",
        )?;
        let runs = self.process.as_ref().is_some_and(|it| it.exited.is_none());
        let nothing = self.process.is_none() && !self.spawning;
        let unkillable = self.process.as_ref().is_some_and(|it| it.killed.is_some());
        let is_so = match machine.phase() {
            Phase::Stopped => nothing && self.claim == Standing::NotOurs,
            Phase::Failed => unkillable || nothing && self.claim == Standing::NotOurs,
            Phase::Starting => self.instance.is_none() && (self.process.is_none() || runs),
            Phase::Ready => match self.instance.as_ref().map(|instance| instance.owned) {
                Some(true) => runs && matches!(self.claim, Standing::Ours { .. }),
                Some(false) => nothing && self.claim == Standing::NotOurs,
                None => false,
            },
            Phase::Stopping => !self.spawning && matches!(self.claim, Standing::Ours { .. }),
        };
        ensure(is_so, "it tells of another phase")?;
        let told = Told::Contested;
        let contested = self.claim == Standing::Ours { told };
        let open = self.instance.as_ref().is_some_and(|instance| instance.open);
        ensure(
            !contested || !open,
            "another waits for an instance that stays open",
        )?;
        let rests = matches!(machine.phase(), Phase::Stopped | Phase::Failed);
        ensure(
            self.waiters.is_empty() || !rests,
            "a caller waits for nothing",
        )
    }
}
