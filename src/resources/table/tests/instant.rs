//! Requests and a rival in the same instant, with the lease word that services really have.

use std::{hint, thread};

use super::*;
use crate::leases::{
    Outcome,
    word::{LeaseCount, Word},
};

const ROUNDS: u32 = 10_000;
/// Each of both outcomes is waited for until it was seen so often, but not in more rounds than this.
const EACH: u32 = 100;
const MOST_ROUNDS: u32 = 10_000_000;

/// A server whose leases are counted as those of every service.
struct Counted(LeaseCount);

impl Server for Counted {
    fn is_in_use(&self) -> bool {
        self.0.word().count() > 0
    }

    fn idle_since(&self) -> Instant {
        Instant::now()
    }

    fn close_if_free(&self) -> Option<bool> {
        self.0.close_if_free().map(Word::is_open)
    }

    fn reopen(&self) {
        self.0.update(Word::open_again);
    }

    fn instance(&self) -> Option<String> {
        None
    }
}

/// One request after the other, of which each has its lease for as long as none is out between two of them.
fn requests(server: &Counted, is_over: &AtomicBool) {
    let pause = || (0..8).for_each(|_| hint::spin_loop());
    while !is_over.load(Relaxed) {
        pause();
        if let Some(instance) = server.0.take() {
            pause();
            let word = server.0.word();
            assert_eq!(word.instance(), instance, "its instance ended under it");
            server
                .0
                .give_back(instance, Outcome::ByHand, || Duration::ZERO);
        }
    }
}

fn opens(table: &Arc<Table>, server: &Arc<Counted>) -> Place {
    let place = table.join("one", &[address(1)], server.clone(), Arc::default());
    place.report(WAITS, false, Turn::default());
    place.report(SERVES, false, Turn::default());
    server.0.open(Duration::ZERO);
    place
}

/// A rival comes and goes in each round. Says how often the server was in use, and how often it made way.
fn rivals(table: &Arc<Table>, server: &Arc<Counted>) -> (u32, u32) {
    let (mut in_use, mut made_way) = (0, 0);
    let mut place = opens(table, server);
    for round in 1..=MOST_ROUNDS {
        let rival = Service::joins(table, "rival", &[1]);
        let asked = place.said().asked;
        drop(rival);
        let word = server.0.word();
        if asked == Asked::Leave {
            assert!(!word.is_open() && word.count() == 0, "{round}: {word:?}");
            made_way += 1;
            drop(place);
            server.0.update(Word::end);
            place = opens(table, server);
        } else {
            assert_eq!(asked, Asked::Close, "{round}");
            // The rival has gone, and the server serves on.
            assert_eq!(place.said().asked, Asked::Nothing, "{round}");
            assert!(word.is_open(), "{round}: {word:?}");
            in_use += 1;
        }
        if round >= ROUNDS && in_use.min(made_way) >= EACH {
            break;
        }
        if round % EACH == 0 {
            // On a single core, the requests come only now.
            thread::yield_now();
        }
    }
    (in_use, made_way)
}

#[test]
fn of_a_request_and_a_rival_in_one_instant_one_is_first_and_no_lease_is_cut() {
    let table = Arc::new(Table::default());
    let server = Arc::new(Counted(LeaseCount::new()));
    let is_over = AtomicBool::new(false);
    let outcomes = thread::scope(|threads| {
        let requests = threads.spawn(|| requests(&server, &is_over));
        let outcomes = catch_unwind(AssertUnwindSafe(|| rivals(&table, &server)));
        is_over.store(true, Relaxed);
        requests.join().unwrap();
        outcomes
    });
    let (in_use, made_way) = outcomes.unwrap();
    let both = in_use.min(made_way);
    assert!(
        both >= EACH,
        "in use {in_use} times, made way {made_way} times"
    );
}
