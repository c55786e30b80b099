//! P2: many requests at once, from anywhere, are one start, and each is served.

use std::{sync::Arc, thread};

use tokio::task::JoinSet;
use tower_local_service::LocalService;

use crate::support::{Fixture, ask, block_on, eventually, get, two_workers, waiting};

const ON_EACH_RUNTIME: usize = 480;
const THREADS: usize = 40;
/// So many of them ask the fixture, which has a thread for each. Wine does not always give it all of those.
const ASKING: usize = if cfg!(windows) { 24 } else { ON_EACH_RUNTIME };

async fn hello(port: u16) {
    let answer = get(port, "/hello").await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_str()), (200, "hello"));
}

#[test]
fn a_thousand_cold_requests_are_one_start_and_all_are_served() {
    let fixture = Arc::new(Fixture::new().with("--delay-bind", 300));
    let port = fixture.port();
    let runtimes = [two_workers(), two_workers()];
    // Two handles, as two parts of a program have.
    let services = [fixture.service("one"), fixture.service("two")];

    let tasks: Vec<_> = runtimes
        .iter()
        .zip(&services)
        .flat_map(|(runtime, service)| {
            (0..ON_EACH_RUNTIME).map(|n| {
                let service = service.clone();
                runtime.spawn(async move {
                    let lease = service.acquire().await.expect("each is served");
                    if n < ASKING {
                        hello(port).await;
                    }
                    drop(lease);
                })
            })
        })
        .collect();
    let threads: Vec<_> = (0..THREADS)
        .map(|n| {
            let service = services[n % 2].clone();
            thread::spawn(move || drop(block_on(service.acquire()).expect("each is served")))
        })
        .collect();

    for thread in threads {
        thread.join().unwrap();
    }
    for task in tasks {
        block_on(task).unwrap();
    }
    assert_eq!(fixture.starts().len(), 1);
    let status = services[0].status();
    assert_eq!((status.starts, status.leases, status.waiters), (1, 0, 0));
}

#[tokio::test]
async fn cold_requests_through_the_layer_are_one_start() {
    let fixture = Fixture::new().with("--delay-bind", 100);
    let service = fixture.service("layer");
    let mut requests = JoinSet::new();
    for _ in 0..50 {
        let (service, url) = (LocalService::clone(&service), fixture.url("/hello"));
        requests.spawn(async move { ask(&service, &url).await.map(|(_, body)| body) });
    }
    while let Some(answer) = requests.join_next().await {
        assert_eq!(answer.unwrap().unwrap(), "hello");
    }
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_request_during_the_start_joins_it() {
    let fixture = Fixture::new().with("--delay-bind", 300);
    let service = fixture.service("joined");
    let first = waiting(&service).await;
    eventually("the start", || !fixture.starts().is_empty()).await;
    let second = waiting(&service).await;
    eventually("both wait", || service.status().waiters == 2).await;
    let (first, second) = tokio::join!(first, second);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.instance(), second.instance());
    assert!(second.waited() <= first.waited());
    assert_eq!(service.status().leases, 2);
    assert_eq!(fixture.starts().len(), 1);
}
