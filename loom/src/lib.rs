//! Models of the lease word: what threads may do to it, and what then holds in whatever order they do it.
//!
//! `cargo test --manifest-path loom/Cargo.toml --release`
//!
//! `LOOM_MAX_PREEMPTIONS` tries more orders, or fewer.

#![cfg(test)]

#[path = "../../src/leases/word/mod.rs"]
#[allow(dead_code, reason = "the models need a part of it")]
mod word;

mod closing;
mod instances;
mod waking;

use std::time::Duration;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
};

use word::{LeaseCount, Outcome, Word};

/// In each order that is tried, a thread that could continue is interrupted at most so often. Without a bound,
/// three threads that each change a word twice have more orders than can be tried.
const INTERRUPTIONS: usize = 5;

fn model(threads: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound.get_or_insert(INTERRUPTIONS);
    model.check(threads);
}

/// An instance that is open, and a clock that advances with each look at it.
#[derive(Clone)]
struct Server {
    leases: Arc<LeaseCount>,
    clock: Arc<AtomicU64>,
}

impl Server {
    fn new() -> Self {
        let leases = LeaseCount::new();
        leases.open(Duration::ZERO);
        Self {
            leases: Arc::new(leases),
            clock: Arc::new(AtomicU64::new(0)),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.clock.fetch_add(1, SeqCst) + 1)
    }

    fn give_back(&self, instance: u64) -> bool {
        self.leases
            .give_back(instance, Outcome::Completed, || self.now())
    }

    /// A client of its own.
    fn client<T: 'static>(&self, does: impl FnOnce(Self) -> T + 'static) -> JoinHandle<T> {
        let server = self.clone();
        thread::spawn(move || does(server))
    }

    /// One that has a lease, and ends it; says whether the supervisor is to be woken.
    fn reader(&self) -> JoinHandle<bool> {
        let instance = self.leases.take().expect("the instance is open");
        self.client(move |server| server.give_back(instance))
    }

    /// One that asks for a lease and ends it at once; says of which instance, and whether the supervisor is to
    /// be woken.
    fn caller(&self) -> JoinHandle<Option<(u64, bool)>> {
        self.client(|server| {
            let instance = server.leases.take()?;
            Some((instance, server.give_back(instance)))
        })
    }
}
