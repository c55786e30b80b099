//! The instances of a service, as the requests that use them see them: the one that leases are counted on, and how the
//! past ones ended.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    wakers::Wakers,
    word::{LeaseCount, Outcome, Word},
};
use crate::{
    error::Error,
    machine::{InstanceEnd, Time},
};

/// How many past instances are remembered.
const KEPT: usize = 8;

#[derive(Debug)]
pub(crate) struct Instances {
    epoch: Instant,
    pub(crate) leases: LeaseCount,
    /// Wakes the supervisor, if it asked for that, when the last lease or a request without an answer
    /// has ended.
    pub(crate) idle: Notify,
    /// Wakes the requests that use an instance when it is over.
    pub(crate) over: Wakers,
    past: Mutex<VecDeque<(u64, PastInstance)>>,
    /// Requests that ended without an answer since the supervisor last asked.
    unanswered: AtomicU32,
}

/// How an instance ended.
#[derive(Clone, Debug)]
pub(crate) struct PastInstance {
    pub(crate) end: InstanceEnd,
    /// What it died of, with its last output.
    pub(crate) death: Option<Error>,
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    /// Nothing is left that could answer, and the last answers have had their time to arrive.
    pub(crate) answers_over: bool,
}

impl PastInstance {
    /// Whether a request may still wait for an answer of it.
    fn awaits_answers(&self) -> bool {
        !self.answers_over && (self.code.is_some() || self.signal.is_some())
    }
}

impl Instances {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            leases: LeaseCount::new(),
            idle: Notify::new(),
            over: Wakers::default(),
            past: Mutex::default(),
            unanswered: AtomicU32::new(0),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.epoch.elapsed()
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        // A time that no clock reaches is as good as never.
        self.epoch
            .checked_add(time)
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(86400))
    }

    #[inline]
    pub(crate) fn give_back(&self, instance: u64, outcome: Outcome) {
        if outcome == Outcome::Unanswered {
            self.note_unanswered(instance);
        }
        if self.leases.give_back(instance, outcome, || self.now()) {
            self.idle.notify_one();
        }
    }

    #[cold]
    fn note_unanswered(&self, instance: u64) {
        if self.leases.word().instance() == instance {
            self.unanswered.fetch_add(1, Relaxed);
            self.idle.notify_one();
        }
    }

    /// How many requests ended without an answer since the last call.
    pub(crate) fn take_unanswered(&self) -> u32 {
        self.unanswered.swap(0, Relaxed)
    }

    /// When a request was last answered.
    pub(crate) fn answered(&self) -> Time {
        if self.leases.word().was_answered() {
            self.now()
        } else {
            self.leases.alive_since()
        }
    }

    /// How an instance ended; `None` if it has not.
    #[inline]
    pub(crate) fn end_of(&self, instance: u64) -> Option<PastInstance> {
        (self.leases.word().instance() != instance).then(|| self.recorded_end(instance))
    }

    #[cold]
    fn recorded_end(&self, instance: u64) -> PastInstance {
        let past = self.past();
        let recorded = past.iter().find(|(of, _)| *of == instance);
        // One that is not remembered any more has surely ended.
        recorded.map_or(
            PastInstance {
                end: InstanceEnd::Died,
                death: None,
                code: None,
                signal: None,
                answers_over: true,
            },
            |(_, past)| past.clone(),
        )
    }

    /// Whether a request may still wait for an answer of the last instance, whose process is gone.
    pub(crate) fn awaits_answers(&self) -> bool {
        let past = self.past();
        past.back().is_some_and(|(_, last)| last.awaits_answers())
    }

    /// Ends the wait for answers of the oldest instance that is waited for.
    pub(crate) fn end_answers(&self) {
        let mut past = self.past();
        if let Some((_, oldest)) = past.iter_mut().find(|(_, it)| it.awaits_answers()) {
            oldest.answers_over = true;
        }
        drop(past);
        self.over.wake_all();
    }

    /// Makes all leases of the instance count no more, and wakes the requests that use it.
    pub(crate) fn end(&self, ended: PastInstance) {
        let mut past = self.past();
        if past.len() == KEPT {
            past.pop_front();
        }
        // Recorded before the word says that it is over.
        past.push_back((self.leases.word().instance(), ended));
        if self.leases.update(Word::end).count() == 0
            && let Some((_, ended)) = past.back_mut()
        {
            // No request is left that could wait for an answer.
            ended.answers_over = true;
        }
        drop(past);
        self.over.wake_all();
    }

    fn past(&self) -> MutexGuard<'_, VecDeque<(u64, PastInstance)>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lease that is on its way to the caller that asked for it; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Grant {
    instances: Option<Arc<Instances>>,
    instance: u64,
}

impl Grant {
    /// A lease on the present instance.
    pub(crate) fn new(instances: &Arc<Instances>) -> Self {
        let instance = instances.leases.update(Word::grant).instance();
        Self {
            instances: Some(instances.clone()),
            instance,
        }
    }

    /// The instance that the lease now counts on.
    pub(crate) fn accept(mut self) -> u64 {
        self.instances = None;
        self.instance
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if let Some(instances) = self.instances.take() {
            instances.give_back(self.instance, Outcome::Unanswered);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn died() -> PastInstance {
        PastInstance {
            end: InstanceEnd::Died,
            death: None,
            code: Some(1),
            signal: None,
            answers_over: false,
        }
    }

    #[test]
    fn the_last_answers_of_an_instance_are_waited_for_only_if_a_request_may_get_them() {
        let instances = Instances::new();
        instances.leases.open(Time::ZERO);
        instances.end(died());
        assert!(!instances.awaits_answers(), "no lease was out");

        let instance = instances.leases.open(Time::ZERO);
        instances.leases.take().unwrap();
        instances.end(died());
        assert!(instances.awaits_answers());
        assert!(!instances.end_of(instance).unwrap().answers_over);
        instances.end_answers();
        assert!(!instances.awaits_answers());
        assert!(instances.end_of(instance).unwrap().answers_over);
    }
}
