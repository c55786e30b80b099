//! While a lease is out, no probe causes a stop.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tower_local_service::BoxError;

use crate::{
    clients::{HyperClient, Request, Setup, chunk, ensured, get, hyper_client, send, text},
    support::{Fixture, within},
};

/// After 5 s of bad answers to probes a server is replaced, unless a lease protects it.
const LONGER_THAN_A_VERDICT: u32 = 65;
const GAP: Duration = Duration::from_millis(100);

/// A client whose requests to `/lost` fail before a response head, which is reported to the supervisor.
fn losing(
    client: HyperClient,
) -> impl tower::Service<
    Request,
    Response = http::Response<hyper::body::Incoming>,
    Error = BoxError,
    Future: Future,
> + Clone {
    tower::service_fn(move |request: Request| {
        let client = client.clone();
        async move {
            if request.uri().path() == "/lost" {
                return Err("lost on the way".into());
            }
            Ok(client.request(request).await?)
        }
    })
}

/// Much less than three failing probes take.
async fn at_once<F: Future>(request: F) -> F::Output {
    let answer = timeout(Duration::from_secs(3), request).await;
    answer.expect("nobody waits for a probe")
}

/// Reads a stream that lasts longer than it takes to replace a server whose health URL answers like this,
/// while requests without an answer are reported again and again. Other requests are served meanwhile.
async fn a_stream_outlasts(health: &str) {
    let it = Setup::configured(&format!("health {health}"), Fixture::new(), |config| {
        config.probe_timeout(Duration::from_millis(200))
    });
    let client = ensured(&it.service, losing(hyper_client()));

    let path = format!(
        "/stream?chunks={LONGER_THAN_A_VERDICT}&gap_ms={}",
        GAP.as_millis()
    );
    let mut stream = it.get(&path).await.into_body();
    assert_eq!(it.get(&format!("/set-health/{health}")).await.status(), 204);

    let begun = Instant::now();
    let mut chunks = 0;
    while let Some(chunk) = chunk(&mut stream).await {
        chunk.expect("the stream continues");
        chunks += 1;
        at_once(send(&client, get(&it.fixture.url("/lost"))))
            .await
            .expect_err("it is lost");
        let other = at_once(send(&client, get(&it.fixture.url("/hello")))).await;
        let other = other.expect("an answer");
        assert_eq!(text(other.into_body()).await.unwrap(), "hello");
    }
    assert_eq!(chunks, LONGER_THAN_A_VERDICT);
    assert!(
        begun.elapsed() > Duration::from_secs(6),
        "long enough to be condemned"
    );
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_failing_probe_ends_no_stream() {
    a_stream_outlasts("500").await;
}

#[tokio::test]
async fn a_silent_probe_ends_no_stream() {
    a_stream_outlasts("0").await;
}

#[tokio::test]
async fn a_lease_by_hand_protects_as_well() {
    let it = Setup::configured("a lease by hand", Fixture::new(), |config| {
        let config = config.probe_timeout(Duration::from_millis(200));
        config.idle_stop(Duration::from_millis(100))
    });
    let lease = within("a lease", it.service.acquire()).await.unwrap();
    assert_eq!(it.get("/set-health/503").await.status(), 204);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(800) {
        assert_eq!(it.text("/hello").await, "hello");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(it.fixture.starts().len(), 1);
    drop(lease);
}
