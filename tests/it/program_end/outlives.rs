//! Ends of parts of your program that the server outlives.

use std::thread;

use tokio::runtime::{self, Runtime};
use tower_local_service::LocalService;

use crate::support::{Fixture, block_on, is_alive, ms};

fn assert_lives_on(fixture: &Fixture, service: &LocalService) {
    thread::sleep(ms(300));
    assert_eq!(fixture.starts().len(), 1);
    assert!(is_alive(fixture.starts()[0]));
    assert!(service.try_acquire().is_some());
}

#[test]
fn it_does_not_die_with_the_runtime_or_the_thread_that_asked() {
    let fixture = Fixture::new();
    let service = fixture.service("outlives");
    let asking = service.clone();
    let thread = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        drop(runtime.block_on(asking.acquire()).unwrap());
    });
    thread.join().unwrap();
    assert_lives_on(&fixture, &service);
}

/// A runtime whose threads for blocking work end soon after it.
fn short_lived_threads() -> Runtime {
    let mut builder = runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_keep_alive(ms(10));
    builder.enable_all().build().unwrap()
}

#[test]
fn it_does_not_die_with_a_blocking_thread_that_asked() {
    let fixture = Fixture::new();
    let service = fixture.service("outlives");
    let runtime = short_lived_threads();
    let asking = service.clone();
    let asked = runtime.spawn_blocking(move || block_on(asking.acquire()).map(drop));
    runtime.block_on(asked).unwrap().unwrap();
    assert_lives_on(&fixture, &service);
    drop(runtime);
    assert_lives_on(&fixture, &service);
}

#[test]
fn it_does_not_die_when_a_worker_of_the_runtime_blocks_in_place() {
    let fixture = Fixture::new();
    let service = fixture.service("outlives");
    let runtime = short_lived_threads();
    let asking = service.clone();
    let asked = runtime.spawn(async move {
        drop(asking.acquire().await.unwrap());
        tokio::task::block_in_place(|| thread::sleep(ms(50)));
    });
    block_on(asked).unwrap();
    assert_lives_on(&fixture, &service);
}
