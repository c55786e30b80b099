mod between;
mod instant;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use super::*;
use crate::config::Turn;

/// A server that says what the test wants.
#[derive(Default)]
struct Fake {
    is_in_use: AtomicBool,
    /// So many looks at it see a use besides, which is over then.
    brief_uses: AtomicUsize,
    is_closed: AtomicBool,
    /// A look at it panics.
    panics: AtomicBool,
}

impl Server for Fake {
    fn is_in_use(&self) -> bool {
        assert!(!self.panics.load(Relaxed), "on purpose");
        let brief = self
            .brief_uses
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        brief.is_ok() || self.is_in_use.load(Relaxed)
    }

    fn idle_since(&self) -> Instant {
        Instant::now()
    }

    fn close_if_free(&self) -> Option<bool> {
        (!self.is_in_use()).then(|| !self.is_closed.swap(true, Relaxed))
    }

    fn reopen(&self) {
        self.is_closed.store(false, Relaxed);
    }

    fn instance(&self) -> Option<String> {
        None
    }
}

struct Service {
    place: Place,
    server: Arc<Fake>,
    gate: Arc<Gate>,
}

/// Requests wait for it.
const WAITS: Standing = Standing::Waits {
    is_polite: false,
    impatient_at: None,
};
const SERVES: Standing = Standing::Serves {
    took: Duration::ZERO,
};

impl Service {
    fn joins(table: &Arc<Table>, name: &str, ports: &[u16]) -> Self {
        let (server, gate) = (Arc::new(Fake::default()), Arc::default());
        let addresses: Vec<_> = ports.iter().map(|&port| address(port)).collect();
        let place = table.join(name, &addresses, server.clone(), Arc::clone(&gate));
        let service = Self {
            place,
            server,
            gate,
        };
        service.is(WAITS);
        service
    }

    fn is(&self, standing: Standing) {
        let turn = Turn::new(Some(Duration::ZERO));
        self.place.report(standing, false, turn);
    }

    /// It needs so much, and serves if that is there.
    fn serves(table: &Arc<Table>, name: &str, port: u16, needs: u64) -> Self {
        let service = Self::joins(table, name, &[port]);
        service.wants(needs);
        if service.place.said().has_room {
            service.is(SERVES);
        }
        service
    }

    fn wants(&self, needs: u64) {
        let needs = [("gpu".to_owned(), Amount::new(needs))];
        self.place.want(needs.into());
        self.is(WAITS);
    }

    fn has_address(&self) -> bool {
        self.place.said().has_address
    }

    fn asked(&self) -> Asked {
        self.place.said().asked
    }

    fn is_closed(&self) -> bool {
        self.server.is_closed.load(Relaxed)
    }
}

fn address(port: u16) -> Address {
    Address {
        host: "localhost".to_owned(),
        port,
    }
}

fn machine(capacity: u64) -> Arc<Table> {
    let table = Arc::new(Table::default());
    table.set_capacities(0, [("gpu".to_owned(), Amount::new(capacity))].into());
    table
}

#[test]
fn the_second_waits_and_the_first_is_asked_to_make_way() {
    let table = Arc::new(Table::default());
    let first = Service::joins(&table, "first", &[1]);
    assert!(first.has_address());
    first.server.is_in_use.store(true, Relaxed);
    first.is(SERVES);
    let second = Service::joins(&table, "second", &[1]);
    assert!(!second.has_address());
    assert_eq!(first.asked(), Asked::Close);
    let shortage = second.place.shortage().unwrap();
    assert_eq!(shortage.holders, [("first".to_owned(), true)]);
    assert_eq!(
        shortage.to_string(),
        "the address localhost:1, which `first` has and uses"
    );
    first.server.is_in_use.store(false, Relaxed);
    first.place.offer();
    assert_eq!(first.asked(), Asked::Leave);
    assert!(first.is_closed() && !second.has_address());
    drop(first);
    assert!(second.has_address());
    assert_eq!(second.place.shortage(), None);
}

#[test]
fn a_use_that_the_plan_saw_is_looked_at_again_though_it_is_over() {
    let table = Arc::new(Table::default());
    let first = Service::joins(&table, "first", &[1]);
    first.is(SERVES);
    first.server.is_in_use.store(true, Relaxed);
    let _second = Service::joins(&table, "second", &[1]);
    first.server.is_in_use.store(false, Relaxed);
    // A peer looks whether it can use the server.
    first.server.brief_uses.store(1, Relaxed);
    let before = first.place.said();
    first.place.offer();
    assert_eq!(first.asked(), Asked::Close);
    assert_ne!(first.place.said(), before, "its task hears of it");
    first.place.offer();
    assert_eq!(first.asked(), Asked::Leave);
}

#[test]
fn a_service_that_leaves_is_not_waited_for() {
    let table = Arc::new(Table::default());
    let first = Service::joins(&table, "first", &[1]);
    first.server.is_in_use.store(true, Relaxed);
    first.is(SERVES);
    drop(Service::joins(&table, "second", &[1]));
    assert_eq!(first.asked(), Asked::Nothing);
    drop(first);
    assert!(table.lock().entries.is_empty());
}

#[test]
fn two_addresses_are_had_together() {
    let table = Arc::new(Table::default());
    let one = Service::joins(&table, "one", &[1]);
    let both = Service::joins(&table, "both", &[1, 2]);
    let two = Service::joins(&table, "two", &[2]);
    assert!(!both.has_address() && !two.has_address());
    drop(one);
    assert!(both.has_address() && !two.has_address());
    drop(both);
    assert!(two.has_address());
}

#[test]
fn a_peer_that_waits_for_the_address_is_one_more_that_waits() {
    let table = Arc::new(Table::default());
    let first = Service::joins(&table, "first", &[1]);
    first.server.is_in_use.store(true, Relaxed);
    first.is(SERVES);
    first.place.ring(true);
    assert_eq!(first.asked(), Asked::Close);
    first.place.ring(false);
    assert_eq!(first.asked(), Asked::Nothing);
}

#[test]
fn either_all_words_are_closed_or_none() {
    let table = machine(2);
    let one = Service::serves(&table, "one", 1, 1);
    let two = Service::serves(&table, "two", 2, 1);
    // The task of the second one is deciding something at this moment.
    let deciding = two.gate.lock().unwrap();
    let big = Service::joins(&table, "big", &[3]);
    big.wants(2);
    assert!(!one.is_closed() && !two.is_closed());
    assert_eq!((one.asked(), two.asked()), (Asked::Wanted, Asked::Close));
    // It looks afterwards, since it was asked to.
    drop(deciding);
    two.place.offer();
    assert!(one.is_closed() && two.is_closed());
    assert_eq!((one.asked(), two.asked()), (Asked::Leave, Asked::Leave));
    assert!(!big.place.said().has_room);
    drop((one, two));
    assert!(big.place.said().has_room);
}

#[test]
fn a_service_in_use_is_asked_to_look_again() {
    let table = machine(2);
    let one = Service::serves(&table, "one", 1, 1);
    let two = Service::serves(&table, "two", 2, 1);
    for it in [&one, &two] {
        it.server.is_in_use.store(true, Relaxed);
    }
    let big = Service::joins(&table, "big", &[3]);
    big.wants(2);
    let before = two.place.said().looks;
    one.server.is_in_use.store(false, Relaxed);
    one.place.offer();
    assert_ne!(two.place.said().looks, before, "it may have missed its end");
    assert!(!one.is_closed(), "it serves until both are idle");
}

#[test]
fn what_is_used_and_waited_for_is_shown() {
    let table = machine(2);
    let one = Service::serves(&table, "one", 1, 2);
    one.server.is_in_use.store(true, Relaxed);
    let two = Service::serves(&table, "two", 2, 1);
    let usage = table.usage().remove("gpu").unwrap();
    assert_eq!(usage.capacity, Amount::new(2));
    assert_eq!(usage.holders, [("one".to_owned(), Amount::new(2))]);
    assert_eq!(usage.waiting, [("two".to_owned(), Amount::new(1))]);
    assert_eq!(
        table.shortage_of(&two.gate).unwrap().to_string(),
        "1 of gpu, which `one` has and uses"
    );
    drop(one);
    assert_eq!(table.shortage_of(&two.gate), None);
}

#[test]
fn fifty_services_are_planned_quickly() {
    let table = machine(25);
    let services: Vec<_> = (1..=50)
        .map(|port| Service::serves(&table, "one of many", port, 1))
        .collect();
    let begun = Instant::now();
    for _ in 0..100 {
        services[49].place.offer();
    }
    // In a debug build it is less than a millisecond on a machine that has nothing else to do.
    let each = begun.elapsed() / 100;
    assert!(each < Duration::from_millis(50), "{each:?}");
}

#[test]
fn a_start_that_no_request_waits_for_makes_way_also_if_its_task_was_deciding_something() {
    let table = machine(2);
    let one = Service::joins(&table, "one", &[1]);
    one.wants(2);
    let unwanted = Standing::Starts { wanted: false };
    one.is(unwanted);
    let deciding = one.gate.lock().unwrap();
    let big = Service::joins(&table, "big", &[2]);
    big.wants(2);
    assert_eq!(one.asked(), Asked::Nothing);
    // What it decides changes nothing of how it stands.
    one.is(unwanted);
    drop(deciding);
    assert_eq!(one.asked(), Asked::Leave);
}

/// What one service does panics, since the server of another one does.
fn panics(does: impl FnOnce()) {
    let does = AssertUnwindSafe(does);
    catch_unwind(does).expect_err("a panic");
}

#[test]
fn a_panic_while_planning_changes_nothing_and_locks_nothing() {
    let table = machine(2);
    let one = Service::serves(&table, "one", 1, 2);
    let two = Service::joins(&table, "two", &[2]);
    one.server.panics.store(true, Relaxed);
    panics(|| two.wants(2));
    assert_eq!((one.asked(), one.is_closed()), (Asked::Nothing, false));
    assert!(one.place.said().has_room && !two.place.said().has_room);
    one.server.panics.store(false, Relaxed);
    two.is(WAITS);
    assert_eq!(one.asked(), Asked::Leave);
    drop(one);
    assert!(two.place.said().has_room);
}

#[test]
fn a_service_that_ends_by_a_panic_while_planning_ends_no_more_than_itself() {
    let table = machine(2);
    let one = Service::serves(&table, "one", 1, 2);
    let two = Service::joins(&table, "two", &[2]);
    one.server.panics.store(true, Relaxed);
    // As it is dropped there is one more plan, and one more panic: two at once would end the program.
    panics(move || two.wants(2));
    one.server.panics.store(false, Relaxed);
    let three = Service::joins(&table, "three", &[2]);
    assert!(three.has_address(), "nothing of the second one is left");
    three.wants(2);
    assert_eq!(one.asked(), Asked::Leave);
}
