//! Counts leases without a lock, a task or a clock.
//!
//! One atomic word says which instance it counts for, whether leases may be taken, and how many are out. Taking
//! the first lease and closing an idle instance both change that word, so one of them loses; a lease of
//! a former instance finds the number of another there, and does not count.

#[cfg(test)]
#[cfg(not(tower_local_service_loom))]
mod tests;

// Set only by the package in `loom/`: every order of the changes is tried there.
#[cfg(tower_local_service_loom)]
use loom::sync::atomic::{AtomicU64, Ordering::SeqCst};
#[cfg(not(tower_local_service_loom))]
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::{fmt, hint::spin_loop, time::Duration};

const COUNT: u64 = 0xffff_ffff;
/// Leases may be taken.
const OPEN: u64 = 1 << 32;
/// A caller that wants a lease asks the supervisor, which probes first.
const SUSPECT: u64 = 1 << 33;
/// The last lease to end wakes the supervisor.
const NOTIFY: u64 = 1 << 34;
/// A lease was taken since the supervisor last looked.
const TOUCHED: u64 = 1 << 35;
/// A lease that received a response head has ended since the count was last zero.
const ANSWERED: u64 = 1 << 36;
/// A response of this instance came to its end.
const SERVED: u64 = 1 << 37;
const INSTANCE: u32 = 40;

/// How far the response came for which a lease was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    /// No response head.
    Unanswered,
    /// A response head, and perhaps a part of the body.
    Answered,
    /// All of a response.
    Completed,
    /// Held by hand: taken for a use that went well, but no sign that the server lives.
    ByHand,
}

impl Outcome {
    fn flags(self) -> u64 {
        match self {
            Self::Unanswered => 0,
            Self::Answered => ANSWERED,
            Self::Completed => ANSWERED | SERVED,
            Self::ByHand => SERVED,
        }
    }

    pub(crate) fn is_sign_of_life(self) -> bool {
        self.flags() & ANSWERED != 0
    }
}

/// A value of the word, and what it becomes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Word(u64);

impl Word {
    pub(crate) const NEW: Self = Self(0);

    pub(crate) fn count(self) -> usize {
        usize::try_from(self.0 & COUNT).unwrap_or(usize::MAX)
    }

    pub(crate) fn instance(self) -> u64 {
        self.0 >> INSTANCE
    }

    pub(crate) fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    pub(crate) fn is_suspect(self) -> bool {
        self.0 & SUSPECT != 0
    }

    pub(crate) fn has_served(self) -> bool {
        self.0 & SERVED != 0
    }

    /// Whether a lease that got an answer has ended since the count was last zero.
    pub(crate) fn was_answered(self) -> bool {
        self.0 & ANSWERED != 0
    }

    /// Whether the end of a lease is to wake the supervisor.
    pub(crate) fn wakes(self) -> bool {
        self.is_last() && self.0 & NOTIFY != 0
    }

    fn with(self, flags: u64) -> Self {
        Self(self.0 | flags)
    }

    fn without(self, flags: u64) -> Self {
        Self(self.0 & !flags)
    }

    fn is_last(self) -> bool {
        self.count() == 1
    }

    /// A caller takes a lease.
    pub(crate) fn take(self) -> Option<Self> {
        (self.0 & (OPEN | SUSPECT) == OPEN).then(|| Self(self.0 + 1).with(TOUCHED))
    }

    /// The supervisor hands one out, even while the server is suspect.
    pub(crate) fn grant(self) -> Self {
        Self(self.0 + 1).with(TOUCHED)
    }

    /// A lease of the instance ends; `None` if that instance is over.
    pub(crate) fn give_back(self, instance: u64, outcome: Outcome) -> Option<Self> {
        if self.instance() != instance {
            return None;
        }
        let left = Self(self.0 - 1).with(outcome.flags());
        Some(if left.count() == 0 {
            left.without(NOTIFY | ANSWERED)
        } else {
            left
        })
    }

    /// The supervisor looks, and is woken by the last lease if any is out.
    pub(crate) fn look(self) -> Self {
        let seen = self.without(TOUCHED);
        if seen.count() == 0 {
            seen
        } else {
            seen.with(NOTIFY)
        }
    }

    /// Begins the instance that the word has the number of.
    pub(crate) fn open(self) -> Self {
        Self(self.instance() << INSTANCE).with(OPEN)
    }

    pub(crate) fn reopen(self) -> Self {
        self.with(OPEN).without(SUSPECT)
    }

    /// After [`close_if_free`](Self::close_if_free), where nothing came of it.
    pub(crate) fn open_again(self) -> Self {
        self.with(OPEN)
    }

    pub(crate) fn close(self) -> Self {
        self.look().without(OPEN)
    }

    /// `None` if a lease is out, or was since the last look.
    pub(crate) fn close_if_idle(self) -> Option<Self> {
        (self.0 & (COUNT | TOUCHED) == 0).then(|| self.without(OPEN))
    }

    /// `None` if a lease is out. For another service, which does not ask when it was last used.
    pub(crate) fn close_if_free(self) -> Option<Self> {
        (self.count() == 0).then(|| self.without(OPEN))
    }

    /// The instance is over, and the word has the number of the next.
    pub(crate) fn end(self) -> Self {
        Self((self.instance() + 1) << INSTANCE)
    }

    pub(crate) fn suspect(self) -> Self {
        self.with(SUSPECT)
    }

    pub(crate) fn trust(self) -> Self {
        self.without(SUSPECT)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("instance", &self.instance())
            .field("open", &self.is_open())
            .field("suspect", &self.is_suspect())
            .field("out", &self.count())
            .finish_non_exhaustive()
    }
}

/// The leases of a service.
#[derive(Debug)]
pub(crate) struct LeaseCount {
    word: AtomicU64,
    /// In nanoseconds, like `alive_since`; written before the word says that no lease is out.
    idle_since: AtomicU64,
    alive_since: AtomicU64,
}

impl LeaseCount {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            word: AtomicU64::new(Word::NEW.0),
            idle_since: zero(),
            alive_since: zero(),
        }
    }

    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(SeqCst))
    }

    pub(crate) fn idle_since(&self) -> Duration {
        Duration::from_nanos(self.idle_since.load(SeqCst))
    }

    pub(crate) fn alive_since(&self) -> Duration {
        Duration::from_nanos(self.alive_since.load(SeqCst))
    }

    /// Takes a lease if the server is ready and not suspect; returns the number of its instance.
    #[inline]
    pub(crate) fn take(&self) -> Option<u64> {
        self.change(Word::take).map(Word::instance)
    }

    /// One more lease of an instance of which a lease is out.
    pub(crate) fn take_another(&self, instance: u64) -> bool {
        self.change(|word| (word.instance() == instance).then(|| word.grant()))
            .is_some()
    }

    /// Returns whether the supervisor is to be woken. The clock is read by the last lease only.
    #[inline]
    pub(crate) fn give_back(
        &self,
        instance: u64,
        outcome: Outcome,
        now: impl Fn() -> Duration,
    ) -> bool {
        let before = self.change(|word| {
            let left = word.give_back(instance, outcome)?;
            if word.is_last() {
                let now = nanos(now());
                self.idle_since.fetch_max(now, SeqCst);
                if word.0 & ANSWERED != 0 || outcome.is_sign_of_life() {
                    self.alive_since.fetch_max(now, SeqCst);
                }
            }
            Some(left)
        });
        before.is_some_and(Word::wakes)
    }

    /// How many leases are out; if any, the last to end wakes the supervisor.
    pub(crate) fn look(&self) -> usize {
        // What it was: a lease taken since would end without waking anybody.
        self.update(Word::look).count()
    }

    /// Makes the next caller ask the supervisor, if that instance is still open.
    pub(crate) fn suspect(&self, instance: u64) {
        self.change(|word| (word.instance() == instance).then(|| word.suspect()));
    }

    /// Whether it could be closed.
    pub(crate) fn close_if_idle(&self) -> bool {
        self.change(Word::close_if_idle).is_some()
    }

    /// What the word was before, if it could be closed for another service.
    pub(crate) fn close_if_free(&self) -> Option<Word> {
        self.change(Word::close_if_free)
    }

    pub(crate) fn open(&self, now: Duration) -> u64 {
        self.idle_since.store(nanos(now), SeqCst);
        self.seen_alive(now);
        self.update(Word::open).instance()
    }

    fn seen_alive(&self, now: Duration) {
        self.alive_since.store(nanos(now), SeqCst);
    }

    /// For changes that cannot fail; returns the word as it was before.
    pub(crate) fn update(&self, to: impl Fn(Word) -> Word) -> Word {
        self.change(|word| Some(to(word))).unwrap_or(Word::NEW)
    }

    /// Returns the word as it was before, if it was changed.
    fn change(&self, to: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        let mut word = self.word();
        loop {
            let changed = to(word)?;
            let exchanged = self
                .word
                .compare_exchange(word.0, changed.0, SeqCst, SeqCst);
            if exchanged.is_ok() {
                return Some(word);
            }
            make_way();
            word = self.word();
        }
    }
}

/// A core that has lost the word to another leaves it there for a fraction of a microsecond, so that it does
/// not go back and forth with each lease: two cores take and give back two to five times as many.
#[cold]
fn make_way() {
    // Loom has no time to pass.
    if cfg!(not(tower_local_service_loom)) {
        (0..32).for_each(|_| spin_loop());
    }
}

fn nanos(time: Duration) -> u64 {
    // In 64 bits, which is less work than `as_nanos`.
    let seconds = time.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(time.subsec_nanos().into())
}
