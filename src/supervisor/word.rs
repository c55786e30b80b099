//! Counts leases without a lock, a task or a clock.
//!
//! One atomic word says which run it is, whether leases may be taken, and how many are out. Taking
//! the first lease and closing an idle run both change that word, so one of them loses; a lease of
//! a former run finds another run's number there and counts for nobody.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

const COUNT: u64 = 0xffff_ffff;
/// Leases may be taken.
const OPEN: u64 = 1 << 32;
/// Whoever wants a lease asks the supervisor, which probes first.
const SUSPECT: u64 = 1 << 33;
/// The last lease to end wakes the supervisor.
const NOTIFY: u64 = 1 << 34;
/// A lease was taken since the supervisor last looked.
const TOUCHED: u64 = 1 << 35;
/// A lease that got an answer has ended since the word was last at rest.
const ANSWERED: u64 = 1 << 36;
/// A response of this run came to its end.
const SERVED: u64 = 1 << 37;
const RUN: u32 = 40;

/// How a lease was of use.
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

    pub(crate) fn run(self) -> u64 {
        self.0 >> RUN
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

    /// Whether the supervisor wants to be woken when a lease ends now.
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

    /// The supervisor hands one out, whatever is suspected.
    pub(crate) fn grant(self) -> Self {
        Self(self.0 + 1).with(TOUCHED)
    }

    /// A lease of the run ends; `None` if that run is over.
    pub(crate) fn give_back(self, run: u64, outcome: Outcome) -> Option<Self> {
        if self.run() != run {
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

    /// Begins the run that the word has the number of.
    pub(crate) fn open(self) -> Self {
        Self(self.run() << RUN).with(OPEN)
    }

    pub(crate) fn reopen(self) -> Self {
        self.with(OPEN).without(SUSPECT)
    }

    pub(crate) fn close(self) -> Self {
        self.look().without(OPEN)
    }

    /// `None` if a lease is out, or was since the last look.
    pub(crate) fn close_if_idle(self) -> Option<Self> {
        (self.0 & (COUNT | TOUCHED) == 0).then(|| self.without(OPEN))
    }

    /// The run is over, and the word has the number of the next.
    pub(crate) fn end(self) -> Self {
        Self((self.run() + 1) << RUN)
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
            .field("run", &self.run())
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

    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(SeqCst))
    }

    pub(crate) fn idle_since(&self) -> Duration {
        Duration::from_nanos(self.idle_since.load(SeqCst))
    }

    pub(crate) fn alive_since(&self) -> Duration {
        Duration::from_nanos(self.alive_since.load(SeqCst))
    }

    /// Takes a lease if the server is ready and beyond suspicion; says of which run.
    pub(crate) fn take(&self) -> Option<u64> {
        self.change(Word::take).map(Word::run)
    }

    /// One more lease of a run of which a lease is out.
    pub(crate) fn take_another(&self, run: u64) -> bool {
        self.change(|word| (word.run() == run).then(|| word.grant()))
            .is_some()
    }

    /// Whether the supervisor wants to know. The clock is read by the last lease only.
    pub(crate) fn give_back(&self, run: u64, outcome: Outcome, now: impl Fn() -> Duration) -> bool {
        let before = self.change(|word| {
            let left = word.give_back(run, outcome)?;
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

    /// Makes the next caller ask the supervisor, if that run goes on.
    pub(crate) fn suspect(&self, run: u64) {
        self.change(|word| (word.run() == run).then(|| word.suspect()));
    }

    /// Whether it could be closed.
    pub(crate) fn close_if_idle(&self) -> bool {
        self.change(Word::close_if_idle).is_some()
    }

    pub(crate) fn open(&self, now: Duration) -> u64 {
        self.idle_since.store(nanos(now), SeqCst);
        self.seen_alive(now);
        self.update(Word::open).run()
    }

    pub(crate) fn seen_alive(&self, now: Duration) {
        self.alive_since.store(nanos(now), SeqCst);
    }

    /// For changes that cannot fail; says what the word was.
    pub(crate) fn update(&self, to: impl Fn(Word) -> Word) -> Word {
        self.change(|word| Some(to(word))).unwrap_or(Word::NEW)
    }

    /// Says what the word was, if it was changed.
    fn change(&self, to: impl Fn(Word) -> Option<Word>) -> Option<Word> {
        let to = |word| to(Word(word)).map(|word| word.0);
        self.word.fetch_update(SeqCst, SeqCst, to).ok().map(Word)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Barrier,
            atomic::{AtomicBool, AtomicUsize},
        },
        thread,
    };

    use tokio::time::Instant;

    use super::*;

    const OPENED: Word = Word(OPEN);

    /// A word of which so many leases are out.
    fn out(leases: usize) -> Word {
        (0..leases).fold(OPENED, |word, _| word.take().unwrap())
    }

    fn back(word: Word) -> Word {
        word.give_back(word.run(), Outcome::Completed).unwrap()
    }

    #[test]
    fn a_lease_is_taken_of_an_open_word_beyond_suspicion_only() {
        assert_eq!(Word::NEW.take(), None);
        assert_eq!(OPENED.suspect().take(), None);
        assert_eq!(OPENED.close().take(), None);
        assert_eq!(OPENED.take().map(Word::count), Some(1));
        assert_eq!(OPENED.suspect().trust().take().map(Word::count), Some(1));
        assert_eq!(OPENED.close().reopen().take().map(Word::count), Some(1));
        assert_eq!(OPENED.suspect().reopen().take().map(Word::count), Some(1));
    }

    #[test]
    fn the_supervisor_grants_what_callers_cannot_take() {
        assert_eq!(OPENED.suspect().grant().count(), 1);
    }

    #[test]
    fn each_lease_counts_until_it_ends() {
        let mut word = out(3);
        for left in [2, 1, 0] {
            word = back(word);
            assert_eq!(word.count(), left);
        }
        assert!(word.is_open());
    }

    #[test]
    fn a_lease_of_a_former_run_counts_for_nobody() {
        let word = out(1);
        let next = word.end().open();
        assert_eq!((next.run(), next.count()), (word.run() + 1, 0));
        assert_eq!(next.give_back(word.run(), Outcome::Completed), None);
        let taken = next.take().unwrap();
        assert_eq!(taken.give_back(word.run(), Outcome::Completed), None);
    }

    #[test]
    fn a_run_that_ends_takes_all_flags_with_it() {
        let word = back(out(2)).look().suspect();
        assert_eq!(word.end(), Word((word.run() + 1) << RUN));
        assert!(!word.end().is_open() && !word.end().has_served());
    }

    #[test]
    fn only_the_last_lease_wakes_and_only_if_somebody_looked() {
        assert!(!out(1).wakes(), "nobody looked");
        let seen = out(2).look();
        assert!(!seen.wakes());
        let last = back(seen);
        assert!(last.wakes());
        let rest = back(last);
        assert!(!rest.take().unwrap().wakes(), "it is told once");
    }

    #[test]
    fn a_look_at_an_idle_word_wants_no_wake() {
        let word = OPENED.look().take().unwrap();
        assert!(!word.wakes());
    }

    #[test]
    fn a_word_is_closed_for_idleness_if_no_lease_came_since_the_last_look() {
        assert!(OPENED.close_if_idle().is_some_and(|word| !word.is_open()));
        assert_eq!(out(1).close_if_idle(), None);
        let used = back(out(1));
        assert_eq!(used.close_if_idle(), None, "touched");
        assert!(used.look().close_if_idle().is_some());
    }

    #[test]
    fn a_run_has_served_once_a_response_came_to_its_end() {
        let given = |outcome| out(1).give_back(0, outcome).unwrap();
        assert!(!given(Outcome::Unanswered).has_served());
        assert!(!given(Outcome::Answered).has_served());
        assert!(given(Outcome::Completed).has_served());
        assert!(given(Outcome::ByHand).has_served());
        let later = given(Outcome::Completed).take().unwrap();
        let later = later.give_back(0, Outcome::Unanswered).unwrap();
        assert!(later.has_served(), "for as long as it runs");
    }

    #[test]
    fn an_answer_is_a_sign_of_life_and_a_failure_is_none() {
        for (outcomes, alive) in [
            (vec![Outcome::Unanswered], 0),
            (vec![Outcome::Answered], 7),
            (vec![Outcome::ByHand], 0),
            (vec![Outcome::Completed, Outcome::Unanswered], 7),
            (vec![Outcome::Unanswered, Outcome::Answered], 7),
        ] {
            let leases = LeaseCount::new();
            let run = leases.open(Duration::from_secs(0));
            for _ in &outcomes {
                leases.take().unwrap();
            }
            for outcome in outcomes {
                leases.give_back(run, outcome, || Duration::from_secs(7));
            }
            assert_eq!(leases.idle_since(), Duration::from_secs(7));
            assert_eq!(leases.alive_since(), Duration::from_secs(alive));
        }
    }

    #[test]
    fn the_clock_is_read_by_the_last_lease_only() {
        let leases = LeaseCount::new();
        let run = leases.open(Duration::ZERO);
        leases.take().unwrap();
        leases.take().unwrap();
        leases.give_back(run, Outcome::Completed, || panic!("not the last one"));
        leases.give_back(run, Outcome::Completed, || Duration::ZERO);
    }

    #[test]
    fn one_more_is_taken_of_the_same_run_only() {
        let leases = LeaseCount::new();
        let run = leases.open(Duration::ZERO);
        leases.take().unwrap();
        leases.update(Word::close);
        assert!(leases.take_another(run), "one is out, so the run goes on");
        assert_eq!(leases.word().count(), 2);
        leases.update(Word::end);
        assert!(!leases.take_another(run));
        assert_eq!(leases.word().count(), 0);
    }

    #[test]
    fn leases_that_end_while_runs_come_and_go_leave_nothing_behind() {
        let leases = LeaseCount::new();
        let (done, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
        leases.open(Duration::ZERO);
        let client = || {
            while !done.load(SeqCst) {
                let Some(run) = leases.take() else { continue };
                taken.fetch_add(1, SeqCst);
                let both = leases.take_another(run);
                leases.give_back(run, Outcome::Answered, || Duration::ZERO);
                if both {
                    leases.give_back(run, Outcome::Completed, || Duration::ZERO);
                }
            }
        };
        thread::scope(|scope| {
            let clients = [
                scope.spawn(client),
                scope.spawn(client),
                scope.spawn(client),
            ];
            let mut closed = 0;
            while closed < 500 || taken.load(SeqCst) < 5_000 {
                leases.look();
                let word = leases.word();
                assert!(word.count() <= 6, "{word:?}");
                // Every other run ends under its leases.
                if closed % 2 == 1 || leases.close_if_idle() {
                    closed += 1;
                    leases.update(Word::end);
                    leases.open(Duration::ZERO);
                }
            }
            done.store(true, SeqCst);
            for client in clients {
                client.join().unwrap();
            }
        });
        assert_eq!(leases.word().count(), 0);
    }

    #[test]
    fn nobody_holds_a_lease_of_a_run_that_was_closed_for_idleness() {
        for _ in 0..500 {
            let leases = LeaseCount::new();
            leases.open(Duration::ZERO);
            let start = Barrier::new(2);
            let (taken, closed) = thread::scope(|scope| {
                let taker = scope.spawn(|| {
                    start.wait();
                    leases.take()
                });
                start.wait();
                let closed = leases.close_if_idle();
                (taker.join().unwrap(), closed)
            });
            assert_ne!(taken.is_some(), closed);
        }
    }

    #[test]
    fn a_lease_that_a_look_has_seen_wakes_when_it_ends() {
        // A caller that takes and ends leases, and the supervisor that looks in between.
        let leases = LeaseCount::new();
        let run = leases.open(Duration::ZERO);
        let (done, woken) = (AtomicBool::new(false), AtomicUsize::new(0));
        let until = Instant::now() + Duration::from_secs(20);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    leases.take().unwrap();
                    if leases.give_back(run, Outcome::Completed, || Duration::ZERO) {
                        woken.fetch_add(1, SeqCst);
                    }
                }
            });
            let mut seen = 0;
            while seen < 2_000 && Instant::now() < until {
                let before = woken.load(SeqCst);
                if leases.look() > 0 {
                    seen += 1;
                    while woken.load(SeqCst) == before && Instant::now() < until {
                        thread::yield_now();
                    }
                }
            }
            done.store(true, SeqCst);
        });
        assert!(Instant::now() < until, "a lease that was seen woke nobody");
    }
}
