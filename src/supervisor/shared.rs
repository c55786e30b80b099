//! What requests and the supervisor's task both see.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    config::Settings,
    error::Error,
    leases::{
        wakers::Wakers,
        word::{LeaseCount, Outcome, Word},
    },
    machine::{End, Journal, Ownership, Phase, Policy, Time},
};

/// For how many runs that are over we know how they ended.
const ENDS_KEPT: usize = 8;

#[derive(Debug)]
pub(crate) struct Shared {
    epoch: Instant,
    pub(crate) leases: LeaseCount,
    /// The last lease has ended, and the supervisor wants to know.
    pub(crate) idle: Notify,
    /// A run is over: whoever reads from it looks at how it ended.
    pub(crate) over: Arc<Wakers>,
    ends: Mutex<VecDeque<(u64, Ended)>>,
    pub(crate) snapshot: watch::Sender<Snapshot>,
    pub(crate) journal: Journal,
    handles: Mutex<BTreeMap<u64, Attached>>,
}

/// A handle, as the supervisor knows it.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) name: String,
    pub(crate) settings: Arc<Settings>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) end: End,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// Nothing is left that could answer, and what it had answered has had its time to arrive.
    pub(crate) is_silent: bool,
}

impl Ended {
    /// Whether answers of the process may still be on their way.
    fn is_heard(&self) -> bool {
        !self.is_silent && (self.code.is_some() || self.signal.is_some())
    }
}

/// What the supervisor says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) phase: Phase,
    pub(crate) ownership: Option<Ownership>,
    pub(crate) pid: Option<u32>,
    pub(crate) waiters: usize,
    pub(crate) ready_since: Option<Time>,
    pub(crate) starts: u64,
    pub(crate) last_error: Option<Error>,
}

impl Snapshot {
    fn new() -> Self {
        Self {
            phase: Phase::Stopped,
            ownership: None,
            pid: None,
            waiters: 0,
            ready_since: None,
            starts: 0,
            last_error: None,
        }
    }
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            leases: LeaseCount::new(),
            idle: Notify::new(),
            over: Arc::default(),
            ends: Mutex::default(),
            snapshot: watch::Sender::new(Snapshot::new()),
            journal: Journal::default(),
            handles: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.epoch.elapsed()
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        // A deadline too far to be told is none.
        self.epoch
            .checked_add(time)
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86400))
    }

    pub(crate) fn give_back(&self, run: u64, outcome: Outcome) {
        if self.leases.give_back(run, outcome, || self.now()) {
            self.idle.notify_one();
        }
    }

    /// How a run that is over ended; `None` while it goes on.
    #[inline]
    pub(crate) fn end_of(&self, run: u64) -> Option<Ended> {
        (self.leases.word().run() != run).then(|| self.recorded_end(run))
    }

    #[cold]
    fn recorded_end(&self, run: u64) -> Ended {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ends.iter().find(|(of, _)| *of == run).map(|(_, end)| *end);
        // One long forgotten has surely ended.
        end.unwrap_or(Ended {
            end: End::Died,
            code: None,
            signal: None,
            is_silent: true,
        })
    }

    /// Whether an answer may still be read of a process of which nothing is left.
    pub(crate) fn is_heard(&self) -> bool {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.iter().any(|(_, ended)| ended.is_heard())
    }

    /// Ends the wait for answers of processes of which nothing is left.
    pub(crate) fn silence(&self) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, ended) in &mut *ends {
            ended.is_silent |= ended.is_heard();
        }
        drop(ends);
        self.over.wake_all();
    }

    /// Makes all leases of the run count no more, and tells whoever reads from it.
    pub(crate) fn end_run(&self, ended: Ended) {
        let word = self.leases.word();
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() == ENDS_KEPT {
            ends.pop_front();
        }
        ends.push_back((word.run(), ended));
        if self.leases.update(Word::end).count() == 0
            && let Some((_, ended)) = ends.back_mut()
        {
            // Nobody is left who could wait for an answer.
            ended.is_silent = true;
        }
        drop(ends);
        self.over.wake_all();
    }

    pub(crate) fn handles(&self) -> MutexGuard<'_, BTreeMap<u64, Attached>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The longest times of all handles.
    pub(crate) fn policy(&self) -> Option<Policy> {
        let handles = self.handles();
        handles
            .values()
            .map(|handle| handle.settings.policy)
            .reduce(Policy::longest)
    }
}

/// A lease that is on its way to who asked for it; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Grant {
    shared: Option<Arc<Shared>>,
    run: u64,
}

impl Grant {
    /// Takes one of the run that goes on.
    pub(crate) fn new(shared: &Arc<Shared>) -> Self {
        let run = shared.leases.update(Word::grant).run();
        Self {
            shared: Some(shared.clone()),
            run,
        }
    }

    /// The run that the lease now counts on.
    pub(crate) fn accept(mut self) -> u64 {
        self.shared = None;
        self.run
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.give_back(self.run, Outcome::Unanswered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died() -> Ended {
        Ended {
            end: End::Died,
            code: Some(1),
            signal: None,
            is_silent: false,
        }
    }

    #[test]
    fn the_last_answers_of_a_run_are_waited_for_only_if_somebody_may_get_them() {
        let shared = Shared::new();
        shared.leases.open(Time::ZERO);
        shared.end_run(died());
        assert!(!shared.is_heard(), "no lease was out");

        let run = shared.leases.open(Time::ZERO);
        shared.leases.take().unwrap();
        shared.end_run(died());
        assert!(shared.is_heard());
        assert!(!shared.end_of(run).unwrap().is_silent);
        shared.silence();
        assert!(!shared.is_heard());
        assert!(shared.end_of(run).unwrap().is_silent);
    }
}
