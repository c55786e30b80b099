//! What the layer costs a request while the server runs: no allocation, no probe.

use std::{
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use allocation_counter::measure;
use http_body::Body;
use tokio::time::Instant;
use tower::Service;
use tower_local_service::{Amount, EnsureLocalServiceLayer, Registry};

use crate::{
    clients::{Setup, ensured},
    fakes::{Script, Step, answers},
    support::Fixture,
};

const TIMES: u64 = 100;

/// Drives a request and its body to their ends by hand, so that nothing but them allocates.
fn drive<S, B>(client: &mut S)
where
    S: Service<(), Response = http::Response<B>>,
    B: Body,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(client.poll_ready(&mut cx).is_ready());
    let mut response = pin!(client.call(()));
    let response = loop {
        match response.as_mut().poll(&mut cx) {
            Poll::Ready(Ok(response)) => break response,
            Poll::Ready(Err(_)) => panic!("it fails"),
            Poll::Pending => {}
        }
    };
    let mut body = pin!(response.into_body());
    loop {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Ready(Some(Ok(frame))) => drop(black_box(frame)),
            Poll::Ready(Some(Err(_))) => panic!("it breaks"),
            Poll::Ready(None) => break,
            Poll::Pending => {}
        }
    }
}

/// How often a request allocates, as a mean.
fn allocations<S, B>(mut client: S) -> u64
where
    S: Service<(), Response = http::Response<B>>,
    B: Body,
{
    // The first makes room that the others use again.
    drive(&mut client);
    let total = measure(|| (0..TIMES).for_each(|_| drive(&mut client))).count_total;
    total.div_ceil(TIMES)
}

#[tokio::test]
async fn a_warm_request_allocates_nothing_for_the_layer() {
    let it = Setup::new("no allocation");
    it.service.start().await.unwrap();
    let data = [Step::Data("a"), Step::Data("b")];
    // A real client is waited for, and then the layer listens for a stop.
    let waits = [Step::Wait, Step::Data("a"), Step::Wait, Step::Wait];
    for body in [
        Script::new(data.clone()),
        Script::counted(data),
        Script::new(waits),
    ] {
        let client = answers(body.clone());
        let bare = allocations(client.clone());
        assert!(bare > 0, "the fake's own are counted");
        assert_eq!(allocations(ensured(&it.service, client)), bare, "{body:?}");
    }
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_warm_request_of_a_service_that_needs_something_allocates_nothing() {
    let registry = Registry::new();
    registry.capacity("warm", 1);
    let fixture = Fixture::new();
    let service = fixture.configured("needs something", fixture.config().needs("warm", 1));
    service.start().await.unwrap();
    // Other tests of this process have resources of their own.
    let used = registry
        .resources()
        .into_iter()
        .find(|it| it.name == "warm");
    assert_eq!(used.unwrap().used, Amount::new(1));
    let client = answers(Script::counted([Step::Data("a")]));
    let bare = allocations(client.clone());
    assert_eq!(allocations(ensured(&service, client)), bare);
}

#[tokio::test]
async fn a_warm_request_allocates_nothing_for_a_resolver() {
    let it = Setup::new("no allocation to resolve");
    it.service.start().await.unwrap();
    let client = answers(Script::counted([Step::Data("a")]));
    let bare = allocations(client.clone());
    let service = it.service.clone();
    let resolver = move |(): &()| Some(service.clone());
    let layered = tower::Layer::layer(&EnsureLocalServiceLayer::new(resolver), client.clone());
    assert_eq!(allocations(layered), bare);
    let nobody = |(): &()| None;
    let layered = tower::Layer::layer(&EnsureLocalServiceLayer::new(nobody), client);
    assert_eq!(allocations(layered), bare);
}

#[tokio::test]
async fn a_response_that_has_to_be_waited_for_allocates_nothing_for_the_layer() {
    let it = Setup::new("no allocation while waiting");
    it.service.start().await.unwrap();
    let client = tower::service_fn(async |()| {
        for _ in 0..3 {
            let mut polled = false;
            std::future::poll_fn(|_| {
                let was = std::mem::replace(&mut polled, true);
                if was { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        Ok::<_, std::convert::Infallible>(http::Response::new(Script::counted([])))
    });
    let bare = allocations(client);
    assert_eq!(allocations(ensured(&it.service, client)), bare);
}

struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

/// The end of the instance wakes the task by one registration, which the body takes over from the future.
#[tokio::test]
async fn a_request_and_its_body_are_woken_by_one_registration() {
    let it = Setup::new("one registration");
    it.service.start().await.unwrap();
    // A fake keeps no waker, so each further one is kept by the layer.
    let client = tower::service_fn(async |()| {
        let mut polled = false;
        std::future::poll_fn(|_| {
            let was = std::mem::replace(&mut polled, true);
            if was { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let script = Script::new([Step::Wait, Step::Data("a"), Step::Wait]);
        Ok::<_, std::convert::Infallible>(script.answer())
    });
    let mut client = ensured(&it.service, client);
    let task = Arc::new(Task);
    let waker = Waker::from(task.clone());
    let mut cx = Context::from_waker(&waker);
    let without = Arc::strong_count(&task);
    let kept = || Arc::strong_count(&task) - without;
    assert!(client.poll_ready(&mut cx).is_ready());
    let mut future = Box::pin(client.call(()));
    assert!(future.as_mut().poll(&mut cx).is_pending());
    assert_eq!(kept(), 1, "the future is woken");
    let Poll::Ready(Ok(response)) = future.as_mut().poll(&mut cx) else {
        panic!("no answer");
    };
    drop(future);
    assert_eq!(kept(), 1, "the body has what the future had");
    let mut body = pin!(response.into_body());
    let mut frames = 0;
    loop {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Ready(None) => break,
            Poll::Ready(Some(frame)) => frames += usize::from(frame.is_ok()),
            Poll::Pending => {}
        }
        assert!(kept() <= 1, "the body has made another one");
    }
    assert_eq!(frames, 1);
    assert_eq!(kept(), 0, "nothing is left of a request that is over");
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_warm_request_costs_no_probe() {
    let it = Setup::new("no probe");
    assert_eq!(it.text("/hello").await, "hello");
    let probes =
        |requests: Vec<String>| requests.iter().filter(|it| *it == "GET /v1/models").count();
    let cold = probes(it.fixture.requests());
    assert!(cold > 0, "the start was probed");
    // Longer than the second in which a server is not probed twice.
    let begun = Instant::now();
    let mut warm = 0;
    while begun.elapsed() < Duration::from_millis(1500) {
        assert_eq!(it.text("/hello").await, "hello");
        warm += 1;
    }
    let requests = it.fixture.requests();
    assert_eq!(
        requests.iter().filter(|it| *it == "GET /hello").count(),
        warm + 1
    );
    assert_eq!(probes(requests), cold);
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn a_warm_request_of_reqwest_allocates_little_for_the_layer() {
    /// With its body read to the end.
    fn drive<S: Service<(), Response = reqwest::Response>>(client: &mut S) {
        let mut cx = Context::from_waker(Waker::noop());
        assert!(client.poll_ready(&mut cx).is_ready());
        let Poll::Ready(Ok(mut response)) = pin!(client.call(())).poll(&mut cx) else {
            panic!("it has no answer")
        };
        while let Poll::Ready(Ok(Some(data))) = pin!(response.chunk()).poll(&mut cx) {
            drop(black_box(data));
        }
    }
    fn allocations(mut client: impl Service<(), Response = reqwest::Response>) -> u64 {
        drive(&mut client);
        let total = measure(|| (0..TIMES).for_each(|_| drive(&mut client))).count_total;
        total.div_ceil(TIMES)
    }

    let it = Setup::new("few allocations");
    it.service.start().await.unwrap();
    let client = tower::service_fn(|()| {
        let body = reqwest::Body::wrap(Script::new([Step::Data("a"), Step::Data("b")]));
        let response = http::Response::builder()
            .header("content-type", "text/plain")
            .header("transfer-encoding", "chunked")
            // As the connection, which each real response tells of.
            .extension("something")
            .body(body);
        std::future::ready(response.map(reqwest::Response::from))
    });
    let bare = allocations(client);
    let layered = allocations(ensured(&it.service, client));
    assert!(
        (bare + 1..=bare + 8).contains(&layered),
        "{bare} bare, {layered} layered"
    );
}
