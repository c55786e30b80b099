//! P19: a caller's runtime need not live, be driven, or be tokio.

use std::thread;

use tokio::runtime::{Builder, Runtime};
use tower_local_service::{Ownership, Phase, Registry};
use tracing::dispatcher;

use crate::support::{Events, Fixture, block_on, blocking_until, get, is_alive, ms, waiting};

fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
}

#[test]
fn a_caller_needs_no_runtime() {
    let fixture = Fixture::new();
    let service = fixture.service("bare");
    let lease = block_on(service.acquire()).unwrap();
    let answer = current_thread()
        .block_on(get(fixture.port(), "/hello"))
        .unwrap();
    assert_eq!(answer.body, "hello");
    drop(lease);
    block_on(service.stop()).unwrap();
    block_on(service.start()).unwrap();
    assert_eq!(fixture.starts().len(), 2);
}

#[test]
fn a_runtime_that_is_not_driven_any_more_blocks_nothing() {
    let fixture = Fixture::new().with("--delay-bind", 200);
    let service = fixture.configured("undriven", fixture.config().idle_stop(ms(50)));
    let idle = current_thread();
    let asking = service.clone();
    // The runtime polls the request once, and is not driven any more.
    idle.block_on(async move {
        drop(waiting(&asking).await);
    });
    assert!(blocking_until(|| fixture.starts().len() == 1));
    assert!(
        blocking_until(|| fixture.alive().is_empty()),
        "it is stopped when idle"
    );
    drop(idle);
}

#[test]
fn the_runtime_of_the_first_request_may_end_during_the_start() {
    let fixture = Fixture::new().with("--delay-bind", 400);
    let service = fixture.service("orphaned");
    let first = multi_thread();
    let asking = service.clone();
    let lost = first.spawn(async move { asking.acquire().await.map(drop) });
    assert!(blocking_until(|| fixture.starts().len() == 1));
    let asking = service.clone();
    let second = thread::spawn(move || current_thread().block_on(asking.acquire()).map(drop));
    drop(first);
    assert!(block_on(lost).unwrap_err().is_cancelled());
    second.join().unwrap().unwrap();
    assert_eq!(fixture.starts().len(), 1);
    assert!(is_alive(fixture.starts()[0]));
}

#[test]
fn a_lease_may_end_outside_of_a_runtime() {
    let fixture = Fixture::new();
    let service = fixture.configured("dropped", fixture.config().idle_stop(ms(50)));
    let lease = multi_thread().block_on(service.acquire()).unwrap();
    let clone = lease.clone();
    thread::spawn(move || drop(lease)).join().unwrap();
    assert_eq!(service.status().leases, 1);
    drop(clone);
    assert!(blocking_until(|| fixture.alive().is_empty()));
    assert_eq!(service.status().leases, 0);
}

#[test]
fn the_dispatcher_of_the_first_request_receives_the_events() {
    let fixture = Fixture::new();
    let service = fixture.service("heard");
    let events = Events::new();
    let lease = dispatcher::with_default(&events.dispatch(), || block_on(service.acquire()));
    drop(lease.unwrap());
    // On another thread, without the dispatcher.
    block_on(service.stop()).unwrap();
    for text in ["starting", "ready", "stopping"] {
        let heard = || events.has("tower_local_service", text);
        assert!(blocking_until(heard), "{text}: {:?}", events.seen());
    }
}

#[test]
fn a_registry_may_bring_its_runtime() {
    let fixture = Fixture::new();
    let runtime = multi_thread();
    let registry = Registry::with_runtime(runtime.handle().clone());
    let service = registry
        .service("guest", fixture.base_url(), fixture.config())
        .unwrap();
    drop(block_on(service.acquire()).unwrap());
    let first = fixture.starts()[0];

    // The end of the runtime ends what was started on it.
    drop(runtime);
    assert!(blocking_until(|| fixture.alive().is_empty()));
    assert!(blocking_until(|| service.status().phase == Phase::Stopped));
    assert!(service.try_acquire().is_none());

    // A later request is served all the same.
    drop(block_on(service.acquire()).unwrap());
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    assert!(!is_alive(first));
    assert_eq!(fixture.starts().len(), 2);
}

#[test]
fn when_the_runtime_of_a_start_ends_its_waiters_are_served() {
    let fixture = Fixture::new().with("--delay-bind", 300);
    let runtime = multi_thread();
    let registry = Registry::with_runtime(runtime.handle().clone());
    let service = registry
        .service("guest", fixture.base_url(), fixture.config())
        .unwrap();
    let asking = service.clone();
    let waits = thread::spawn(move || block_on(asking.acquire()).map(drop));
    assert!(blocking_until(|| fixture.starts().len() == 1));
    drop(runtime);
    waits.join().unwrap().unwrap();
    assert_eq!(fixture.starts().len(), 2);
}
