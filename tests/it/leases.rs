//! A response holds its lease until its body ends, in whatever way.

use std::time::Duration;

use http::Method;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio_test::{assert_pending, assert_ready, task};
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutLayer;
use tower_local_service::ErrorKind;

use crate::{
    clients::{Setup, chunk, ensured, request, send, text},
    support::{Fixture, eventually, is_kill, kill, ms, within},
};

#[tokio::test]
async fn a_lease_lasts_to_the_end_of_a_stream_and_not_to_its_drop() {
    let it = Setup::new("to the end of a stream");
    let mut body = it.get("/stream?chunks=3&gap_ms=20").await.into_body();
    for n in 0..3 {
        let data = chunk(&mut body).await.unwrap().unwrap();
        assert_eq!(data, format!("chunk {n}\n"));
        assert_eq!(it.leases(), 1, "after chunk {n}");
    }
    assert!(chunk(&mut body).await.is_none());
    assert_eq!(it.leases(), 0);
    drop(body);
    assert_eq!(it.leases(), 0, "given back once");
}

#[tokio::test]
async fn a_lease_lasts_to_the_trailers() {
    let it = Setup::new("to the trailers");
    let mut body = it.get("/trailers?chunks=1").await.into_body();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "chunk 0\n");
    assert_eq!(it.leases(), 1);
    let frame = within("trailers", body.frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap()["x-check"], "whole");
    assert_eq!(it.leases(), 0, "nothing comes after trailers");
}

#[tokio::test]
async fn a_reader_that_counts_bytes_gives_the_lease_back_with_the_last_of_them() {
    let it = Setup::new("to the last byte");
    let path = "/length-stream?chunks=2&gap_ms=20";
    let mut body = it.get(path).await.into_body();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "chunk 0\n");
    assert_eq!(it.leases(), 1);
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "chunk 1\n");
    assert!(body.is_end_stream(), "so a reader stops here");
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_lease_lasts_to_an_error() {
    let it = Setup::new("to an error");
    for framing in ["chunked", "length"] {
        let path = format!("/break-mid-stream?framing={framing}");
        let mut body = it.get(&path).await.into_body();
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "first");
        assert_eq!(it.leases(), 1);
        assert!(chunk(&mut body).await.unwrap().is_err(), "{framing}");
        assert_eq!(it.leases(), 0, "{framing}");
        assert!(chunk(&mut body).await.is_none(), "after an error: the end");
    }
}

#[tokio::test]
async fn a_lease_lasts_to_the_drop_of_an_unread_body() {
    let it = Setup::new("to the drop");
    let whole = it.get("/stall?chunks=1").await;
    assert_eq!(it.leases(), 1);
    drop(whole);
    assert_eq!(it.leases(), 0);

    let mut half = it.get("/stall?chunks=1").await.into_body();
    chunk(&mut half).await.unwrap().unwrap();
    assert_eq!(it.leases(), 1);
    drop(half);
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn an_answer_without_a_body_holds_no_lease() {
    let it = Setup::new("without a body");
    let empty = it.get("/empty").await;
    assert_eq!(empty.status(), 204);
    assert_eq!(it.leases(), 0, "204");

    let no_bytes = it.get("/status/200").await;
    assert_eq!(no_bytes.headers()["content-length"], "0");
    assert_eq!(it.leases(), 0, "content-length: 0");

    let head = request(Method::HEAD, &it.fixture.url("/bytes?n=5"));
    let head = send(&it.client, head).await.unwrap();
    assert_eq!(head.headers()["content-length"], "5");
    assert_eq!(it.leases(), 0, "HEAD");
}

#[tokio::test]
async fn each_response_holds_a_lease_of_its_own() {
    let it = Setup::new("leases of their own");
    let first = it.get("/stall?chunks=1").await;
    let second = it.get("/stall?chunks=1").await;
    let by_hand = it.service.acquire().await.unwrap();
    assert_eq!(it.leases(), 3);
    drop(first);
    assert_eq!(it.leases(), 2);
    let clone = by_hand.clone();
    drop(by_hand);
    assert_eq!(it.leases(), 2, "a clone of a lease is one");
    drop((second, clone));
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn idle_time_counts_from_the_end_of_the_body() {
    let idle_stop = Duration::from_millis(300);
    let it = Setup::configured("idle from the end", Fixture::new(), |config| {
        config.idle_stop(idle_stop)
    });
    // The stream lasts four idle times, and the body is kept long after its end.
    let mut body = it.get("/stream?chunks=13&gap_ms=100").await.into_body();
    let whole = text(&mut body).await.unwrap();
    assert_eq!(whole.lines().count(), 13);
    assert_eq!(it.fixture.starts().len(), 1);
    eventually("it is stopped", || it.fixture.alive().is_empty()).await;
    drop(body);
}

#[tokio::test]
async fn a_lease_tells_that_its_instance_was_stopped() {
    let it = Setup::new("told of a stop");
    let lease = it.service.acquire().await.unwrap();
    let instance = lease.instance();
    // Dropped and called again: it misses nothing.
    assert_pending!(task::spawn(lease.ended()).poll());
    let mut waiting = task::spawn(lease.ended());
    assert_pending!(waiting.poll());
    it.service.stop().await.unwrap();
    assert!(waiting.is_woken());
    for error in [
        assert_ready!(waiting.poll()),
        within("an end that has been", lease.ended()).await,
    ] {
        assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");
        assert_eq!(error.service(), "told of a stop");
    }
    let next = it.service.acquire().await.unwrap();
    assert_ne!(next.instance(), instance);
}

#[tokio::test]
async fn a_lease_tells_of_what_its_instance_died() {
    let it = Setup::new("told of a death");
    let lease = it.service.acquire().await.unwrap();
    kill(it.fixture.starts()[0]);
    let error = within("the end", lease.ended()).await;
    assert!(is_kill(error.kind()), "{error}");
}

#[tokio::test]
async fn a_body_shows_its_lease_and_gives_it_back_with_the_body_inside() {
    let it = Setup::new("shows its lease");
    let mut body = it.get("/stream?chunks=2&gap_ms=10").await.into_body();
    assert!(body.lease().is_some());
    assert!(!body.get_ref().is_end_stream());
    assert!(!body.get_mut().is_end_stream());
    let kept = body.lease().cloned();
    let inside = body.into_inner();
    assert_eq!(it.leases(), 1, "the clone");
    drop(kept);
    assert_eq!(it.leases(), 0);
    drop(inside);

    let mut body = it.get("/hello").await.into_body();
    while chunk(&mut body).await.is_some() {}
    assert!(body.lease().is_none(), "it has ended");
}

#[tokio::test]
async fn a_layer_that_answers_by_itself_may_stand_outside() {
    let it = Setup::new("answers by itself");
    it.service.start().await.unwrap();
    let never = tower::service_fn(|_: http::Request<()>| {
        std::future::pending::<Result<http::Response<String>, std::convert::Infallible>>()
    });
    let late = http::StatusCode::GATEWAY_TIMEOUT;
    let client = tower::ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(late, ms(100)))
        .service(ensured(&it.service, never));
    let response = within("a timeout", client.oneshot(http::Request::new(())))
        .await
        .unwrap();
    assert_eq!(response.status(), late);
    let body = response.into_body();
    assert!(body.is_end_stream());
    assert!(body.lease().is_none());
    assert_eq!(it.leases(), 0);
}
