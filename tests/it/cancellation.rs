//! Whatever is dropped, wherever it is: no lease is lost, nothing is left, others are served.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    thread,
};

use http_body_util::BodyExt as _;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt as _;
use tower_local_service::{BoxError, Phase};

use crate::{
    clients::{Request, Setup, chunk, ensured, get, send},
    fakes::{Script, Step, answers},
    support::{Fixture, blocking_until, eventually, within},
};

/// Polls the future so often, each time when it asks for it, then drops it.
async fn polled_at_most<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polls = 0;
    poll_fn(|cx| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() && polls == times {
            return Poll::Ready(None);
        }
        polled.map(Some)
    })
    .await
}

async fn nobody_uses_it(it: &Setup) {
    eventually("no lease and no waiter is left", || {
        let status = it.service.status();
        (status.leases, status.waiters) == (0, 0)
    })
    .await;
}

/// Drops a request after every number of polls, until one comes to its end.
async fn dropped_after_each_poll(it: &Setup, cold: bool) {
    for polls in 0.. {
        if cold {
            within("the stop", it.service.stop()).await.unwrap();
        }
        let request = it.client.clone().oneshot(get(&it.fixture.url("/hello")));
        let response = within("so many polls", polled_at_most(polls, request)).await;
        let done = response.is_some();
        drop(response);
        nobody_uses_it(it).await;
        assert_eq!(it.text("/hello").await, "hello", "after {polls} polls");
        assert!(it.fixture.alive().len() == 1, "after {polls} polls");
        if done {
            assert!(polls > 1, "it was dropped on its way");
            return;
        }
    }
}

#[tokio::test]
async fn a_cold_request_may_be_dropped_after_each_poll() {
    let it = Setup::with("dropped cold", Fixture::new().with("--delay-bind", 20));
    dropped_after_each_poll(&it, true).await;
}

#[tokio::test]
async fn a_warm_request_may_be_dropped_after_each_poll() {
    let it = Setup::new("dropped warm");
    it.service.start().await.unwrap();
    dropped_after_each_poll(&it, false).await;
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_request_that_got_its_lease_may_be_dropped_before_it_knows() {
    let it = Setup::new("dropped unread");
    let mut request = Box::pin(it.client.clone().oneshot(get(&it.fixture.url("/hello"))));
    assert!(polled_at_most(1, &mut request).await.is_none());
    // The lease is granted, and on its way to a future that is not polled.
    eventually("it is granted", || it.leases() == 1).await;
    drop(request);
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_body_may_be_dropped_after_each_frame() {
    let it = Setup::new("dropped bodies");
    for path in [
        "/stream?chunks=4&gap_ms=5",
        "/length-stream?chunks=4&gap_ms=5",
        "/close-delimited?chunks=4&gap_ms=5",
    ] {
        for frames in 0..=5 {
            let mut body = it.get(path).await.into_body();
            for _ in 0..frames {
                chunk(&mut body).await.transpose().unwrap();
            }
            // In the middle of a wait, too.
            drop(polled_at_most(1, body.frame()).await);
            drop(body);
            assert_eq!(it.leases(), 0, "{path} after {frames} frames");
        }
        assert_eq!(it.text("/hello").await, "hello");
    }
    assert_eq!(it.fixture.starts().len(), 1);
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn everything_may_be_dropped_outside_of_a_runtime() {
    let it = Setup::new("dropped outside");
    let runtime = runtime();
    let (lease, response, pending, unpolled) = runtime.block_on(async {
        let lease = it.service.acquire().await.unwrap();
        let mut response = it.get("/stall?chunks=1").await;
        chunk(response.body_mut()).await.unwrap().unwrap();
        let hang = it.client.clone().oneshot(get(&it.fixture.url("/hang")));
        let mut pending = Box::pin(hang);
        assert!(polled_at_most(2, &mut pending).await.is_none());
        let unpolled = it.client.clone().oneshot(get("http://127.0.0.1:1/"));
        (lease, response, pending, unpolled)
    });
    drop(runtime);
    assert_eq!(it.leases(), 3);
    let Setup {
        client,
        service,
        fixture,
    } = it;
    let watched = service.clone();
    let dropping =
        thread::spawn(move || drop((unpolled, lease, response, pending, client, service)));
    dropping.join().expect("no drop panics");
    assert_eq!(watched.status().leases, 0);
    assert_eq!(watched.status().phase, Phase::Ready);
    drop(watched);
    assert!(
        blocking_until(|| fixture.alive().is_empty()),
        "the last handle takes it along"
    );
}

#[test]
fn a_start_may_be_abandoned_by_the_runtime_that_asked_for_it() {
    let it = Setup::with("abandoned", Fixture::new().with("--delay-bind", 1500));
    let first = runtime();
    let mut cold = Box::pin(it.client.clone().oneshot(get(&it.fixture.url("/hello"))));
    first.block_on(async { assert!(polled_at_most(1, &mut cold).await.is_none()) });
    drop(first);
    assert!(blocking_until(|| it.service.status().waiters == 1));
    drop(cold);
    assert!(blocking_until(|| it.service.status().waiters == 0));
    assert_eq!(it.service.status().phase, Phase::Starting);
    // Time to be stopped in, if anything did so.
    thread::sleep(std::time::Duration::from_millis(50));
    let second = runtime();
    assert_eq!(second.block_on(it.text("/hello")), "hello");
    assert_eq!(it.fixture.starts().len(), 1, "it went on by itself");
}

#[test]
fn everything_may_be_dropped_while_unwinding() {
    let it = Setup::new("unwinding");
    let runtime = runtime();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let _lease = it.service.acquire().await.unwrap();
            let mut response = it.get("/stall?chunks=1").await;
            chunk(response.body_mut()).await.unwrap().unwrap();
            let mut hanging = Box::pin(it.client.clone().oneshot(get(&it.fixture.url("/hang"))));
            assert!(polled_at_most(2, &mut hanging).await.is_none());
            assert_eq!(it.leases(), 3);
            panic!("on purpose");
        })
    }));
    assert!(unwound.is_err());
    assert_eq!(it.leases(), 0);
    assert_eq!(runtime.block_on(it.text("/hello")), "hello");
    assert_eq!(it.fixture.starts().len(), 1);
}

/// Panics at the given place.
#[derive(Clone)]
struct Panics(&'static str);

impl tower::Service<Request> for Panics {
    type Response = http::Response<Script>;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), BoxError>> {
        assert_ne!(self.0, "poll_ready");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        assert_ne!(self.0, "call");
        let place = self.0;
        Box::pin(async move {
            tokio::task::yield_now().await;
            assert_ne!(place, "future");
            Ok(http::Response::new(Script::new([])))
        })
    }
}

#[tokio::test]
async fn a_client_that_panics_keeps_no_lease() {
    let it = Setup::new("panics");
    for place in ["poll_ready", "call", "future"] {
        let client = ensured(&it.service, Panics(place));
        let url = it.fixture.url("/hello");
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { send(&client, get(&url)).await.map(drop) });
        let joined = within("a panic", task.join_next()).await.unwrap();
        assert!(joined.unwrap_err().is_panic(), "{place}");
        assert_eq!(it.leases(), 0, "{place}");
        assert_eq!(it.text("/hello").await, "hello", "{place}");
    }
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn many_requests_dropped_at_random_lose_no_lease() {
    let it = Setup::with("many dropped", Fixture::new().with("--delay-bind", 50));
    let client = ensured(
        &it.service,
        answers(Script::new([Step::Wait, Step::Data("x"), Step::Wait])),
    );
    for round in 0..10 {
        let mut tasks = tokio::task::JoinSet::new();
        for polls in 0..20 {
            let client = client.clone();
            tasks.spawn(async move {
                let whole = async {
                    let response = client.oneshot(()).await.unwrap();
                    response.into_body().collect().await.unwrap();
                };
                polled_at_most(polls % 7, whole).await.is_some()
            });
        }
        within("all are done or dropped", tasks.join_all()).await;
        nobody_uses_it(&it).await;
        if round % 3 == 2 {
            within("the stop", it.service.stop()).await.unwrap();
        }
    }
    assert_eq!(it.text("/hello").await, "hello");
}
