//! Nothing piles up, however often a server is started and stopped.

use std::fs;

use crate::support::{Fixture, alone, amount, block_on, blocking_until, children_of, status};

/// What a host has of the system.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    /// Zombies among them.
    children: usize,
    /// In KiB.
    memory: u64,
}

impl Held {
    fn now() -> Self {
        Self {
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            threads: fs::read_dir("/proc/self/task").unwrap().count(),
            children: children_of(std::process::id()).len(),
            memory: status("self", "VmRSS"),
        }
    }

    /// What was freed a moment ago may take a moment to go.
    fn falls_to(before: Self) -> bool {
        blocking_until(|| {
            let now = Self::now();
            now.descriptors <= before.descriptors
                && now.threads <= before.threads
                && now.children <= before.children
        })
    }
}

/// Each round with a service of its own, so that its end is in it, too.
fn start_and_stop(times: usize) {
    let fixture = Fixture::new();
    let service = fixture.service("again");
    for nth in 0..times {
        let lease = block_on(service.acquire()).unwrap();
        if nth % 2 == 0 {
            drop(lease);
            block_on(service.stop()).unwrap();
        } else {
            // Out during the stop, of a run that is over when it comes back.
            block_on(service.stop()).unwrap();
            drop(lease);
        }
    }
    assert_eq!(fixture.starts().len(), times);
}

#[test]
#[ignore = "run by the test below, in a process that does nothing else"]
fn plays_a_host_that_starts_and_stops() {
    let cycles = amount("CYCLES", 40);
    start_and_stop(20);
    let before = Held::now();
    for _ in 0..cycles / 20 {
        start_and_stop(20);
    }
    assert!(Held::falls_to(before), "{before:?}, {:?}", Held::now());
    let grown = Held::now().memory.saturating_sub(before.memory);
    assert!(grown < 4096, "{grown} KiB more after {cycles} starts");
}

#[test]
fn a_host_that_starts_and_stops_has_afterwards_what_it_had_before() {
    alone(&[], "cycles::plays_a_host_that_starts_and_stops");
}

#[test]
#[ignore = "run by the test below, in a process that does nothing else"]
fn plays_a_host_with_services_that_nobody_uses() {
    let fixtures: Vec<_> = (0..500).map(|_| Fixture::new()).collect();
    let before = Held::now();
    let services: Vec<_> = fixtures.iter().map(|it| it.service("unused")).collect();
    let now = Held::now();
    assert_eq!(services.len(), 500);
    assert_eq!(
        (now.descriptors, now.threads, now.children),
        (before.descriptors, before.threads, before.children)
    );
    drop(services);
    for fixture in &fixtures {
        assert!(fixture.starts().is_empty());
    }
    // To look for what is left of each would take longer than the test.
    for fixture in fixtures {
        drop(fixture.unaudited());
    }
}

#[test]
fn services_that_nobody_uses_cost_no_process_thread_or_descriptor() {
    alone(&[], "cycles::plays_a_host_with_services_that_nobody_uses");
}
