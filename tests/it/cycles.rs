//! Starts and stops use up nothing, however many there are.

use std::fs;

use crate::support::{Fixture, alone, amount, block_on, blocking_until, children_of, status};

/// What a program holds of the system's resources.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    /// Zombies included.
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

    /// Looks again for a while, since what was freed just now may still be counted.
    fn falls_to(before: Self) -> bool {
        blocking_until(|| {
            let now = Self::now();
            now.descriptors <= before.descriptors
                && now.threads <= before.threads
                && now.children <= before.children
        })
    }
}

/// Each round has a service of its own, so that it includes the end of a service.
fn start_and_stop(times: usize) {
    let fixture = Fixture::new();
    let service = fixture.service("again");
    for nth in 0..times {
        let lease = block_on(service.acquire()).unwrap();
        if nth % 2 == 0 {
            drop(lease);
            block_on(service.stop()).unwrap();
        } else {
            // The lease is out during the stop, and is dropped when its instance has ended.
            block_on(service.stop()).unwrap();
            drop(lease);
        }
    }
    assert_eq!(fixture.starts().len(), times);
}

#[test]
#[ignore = "run by the test below, in a process that does nothing else"]
fn plays_a_program_that_starts_and_stops() {
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
fn after_many_starts_and_stops_a_program_has_the_resources_that_it_had_before() {
    alone(&[], "cycles::plays_a_program_that_starts_and_stops");
}

#[test]
#[ignore = "run by the test below, in a process that does nothing else"]
fn plays_a_program_with_unused_services() {
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
    // A look for what is left of each would take longer than the test.
    for fixture in fixtures {
        drop(fixture.unaudited());
    }
}

#[test]
fn unused_services_cost_no_process_thread_or_descriptor() {
    alone(&[], "cycles::plays_a_program_with_unused_services");
}
