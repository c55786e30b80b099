//! Each change of the word, and all of them from many threads.

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
    word.give_back(word.instance(), Outcome::Completed).unwrap()
}

#[test]
fn a_lease_is_taken_of_an_open_word_that_is_not_suspect_only() {
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
fn a_lease_of_a_former_instance_does_not_count() {
    let word = out(1);
    let next = word.end().open();
    assert_eq!((next.instance(), next.count()), (word.instance() + 1, 0));
    assert_eq!(next.give_back(word.instance(), Outcome::Completed), None);
    let taken = next.take().unwrap();
    assert_eq!(taken.give_back(word.instance(), Outcome::Completed), None);
}

#[test]
fn an_instance_that_ends_takes_all_flags_with_it() {
    let word = back(out(2)).look().suspect();
    assert_eq!(word.end(), Word((word.instance() + 1) << INSTANCE));
    assert!(!word.end().is_open() && !word.end().has_served());
}

#[test]
fn only_the_last_lease_wakes_and_only_if_the_supervisor_looked() {
    assert!(!out(1).wakes(), "nobody looked");
    let seen = out(2).look();
    assert!(!seen.wakes());
    let last = back(seen);
    assert!(last.wakes());
    let rest = back(last);
    assert!(!rest.take().unwrap().wakes(), "it wakes once");
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
fn an_instance_has_served_once_a_response_came_to_its_end() {
    let given = |outcome| out(1).give_back(0, outcome).unwrap();
    assert!(!given(Outcome::Unanswered).has_served());
    assert!(!given(Outcome::Answered).has_served());
    assert!(given(Outcome::Completed).has_served());
    assert!(given(Outcome::ByHand).has_served());
    let later = given(Outcome::Completed).take().unwrap();
    let later = later.give_back(0, Outcome::Unanswered).unwrap();
    assert!(later.has_served(), "for as long as it instances");
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
        let instance = leases.open(Duration::from_secs(0));
        for _ in &outcomes {
            leases.take().unwrap();
        }
        for outcome in outcomes {
            leases.give_back(instance, outcome, || Duration::from_secs(7));
        }
        assert_eq!(leases.idle_since(), Duration::from_secs(7));
        assert_eq!(leases.alive_since(), Duration::from_secs(alive));
    }
}

#[test]
fn the_clock_is_read_by_the_last_lease_only() {
    let leases = LeaseCount::new();
    let instance = leases.open(Duration::ZERO);
    leases.take().unwrap();
    leases.take().unwrap();
    leases.give_back(instance, Outcome::Completed, || panic!("not the last one"));
    leases.give_back(instance, Outcome::Completed, || Duration::ZERO);
}

#[test]
fn one_more_is_taken_of_the_same_instance_only() {
    let leases = LeaseCount::new();
    let instance = leases.open(Duration::ZERO);
    leases.take().unwrap();
    leases.update(Word::close);
    assert!(
        leases.take_another(instance),
        "one is out, so the instance continues"
    );
    assert_eq!(leases.word().count(), 2);
    leases.update(Word::end);
    assert!(!leases.take_another(instance));
    assert_eq!(leases.word().count(), 0);
}

#[test]
fn leases_that_end_while_runs_come_and_go_leave_nothing_behind() {
    let leases = LeaseCount::new();
    let (done, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
    leases.open(Duration::ZERO);
    let client = || {
        while !done.load(SeqCst) {
            let Some(instance) = leases.take() else {
                continue;
            };
            taken.fetch_add(1, SeqCst);
            let both = leases.take_another(instance);
            leases.give_back(instance, Outcome::Answered, || Duration::ZERO);
            if both {
                leases.give_back(instance, Outcome::Completed, || Duration::ZERO);
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
            // Every other instance ends under its leases.
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
fn no_lease_is_out_of_an_instance_that_was_closed_for_idleness() {
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
    let instance = leases.open(Duration::ZERO);
    let (done, woken) = (AtomicBool::new(false), AtomicUsize::new(0));
    let until = Instant::now() + Duration::from_secs(120);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(SeqCst) {
                leases.take().unwrap();
                if leases.give_back(instance, Outcome::Completed, || Duration::ZERO) {
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
