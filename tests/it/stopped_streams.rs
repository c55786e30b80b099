//! A reader of a server that is stopped gets the error of this crate, and no end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::task::JoinSet;
use tokio_test::{assert_pending, assert_ready, task};
use tower::ServiceExt as _;
use tower_local_service::{ErrorKind, Phase};

use crate::{
    clients::{Setup, chunk, ensured, get, kind, send},
    fakes::{Script, Step, answers},
    support::{eventually, within},
};

#[tokio::test]
async fn a_stop_ends_a_stream_with_our_error() {
    let it = Setup::new("a stopped stream");
    for path in [
        "/stall?chunks=1",
        "/length-stream?gap_ms=60000",
        "/close-delimited?gap_ms=60000",
    ] {
        let mut body = it.get(path).await.into_body();
        assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "chunk 0\n");
        within("the stop", it.service.stop()).await.unwrap();
        let error = chunk(&mut body).await.expect("no clean end").unwrap_err();
        assert!(
            matches!(kind(&*error), Some(ErrorKind::Stopped { .. })),
            "{path}: {error:?}"
        );
        assert!(
            error.to_string().contains("a stopped stream"),
            "names the service"
        );
        assert!(body.is_end_stream());
        assert!(chunk(&mut body).await.is_none(), "nothing after the error");
        assert_eq!(it.leases(), 0);
    }
    assert_eq!(
        it.text("/hello").await,
        "hello",
        "the next request starts it again"
    );
}

#[tokio::test]
async fn a_stop_wakes_a_reader_whose_body_never_comes() {
    let it = Setup::new("a silent stream");
    let client = ensured(
        &it.service,
        answers(Script::new([Step::Data("x"), Step::Hang])),
    );
    let (mut readers, reading) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for _ in 0..3 {
        let (client, reading) = (client.clone(), reading.clone());
        readers.spawn(async move {
            let mut body = send(&client, ()).await.unwrap().into_body();
            assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "x");
            reading.fetch_add(1, SeqCst);
            // Without a limit of its own, which would wake it.
            body.frame().await.expect("no clean end").unwrap_err()
        });
    }
    eventually("all read", || reading.load(SeqCst) == 3).await;
    within("the stop", it.service.stop()).await.unwrap();
    while let Some(error) = within("each reader is woken", readers.join_next()).await {
        let error = error.unwrap();
        assert!(
            matches!(kind(&*error), Some(ErrorKind::Stopped { .. })),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_stop_wakes_the_task_that_reads_and_not_the_one_that_waited_for_the_head() {
    let it = Setup::new("two tasks");
    let client = tower::service_fn(async |()| {
        let mut polled = false;
        std::future::poll_fn(|_| {
            let was = std::mem::replace(&mut polled, true);
            if was { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let body = Script::new([Step::Hang]);
        Ok::<_, std::convert::Infallible>(body.answer())
    });
    it.service.start().await.unwrap();
    let mut response = task::spawn(ensured(&it.service, client).oneshot(()));
    assert_pending!(response.poll());
    let mut body = assert_ready!(response.poll()).unwrap().into_body();
    let mut reading = task::spawn(body.frame());
    assert_pending!(reading.poll());
    within("the stop", it.service.stop()).await.unwrap();
    assert!(reading.is_woken());
    assert!(!response.is_woken());
    let error = assert_ready!(reading.poll())
        .expect("no clean end")
        .unwrap_err();
    assert!(
        matches!(kind(&*error), Some(ErrorKind::Stopped { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_a_response_head() {
    let it = Setup::new("no head");
    let mut requests = JoinSet::new();
    let (client, url) = (it.client.clone(), it.fixture.url("/hang"));
    requests.spawn(async move { send(&client, get(&url)).await.map(drop) });
    // A client that would never notice by itself.
    let deaf = tower::service_fn(|()| std::future::pending::<Result<http::Response<Script>, _>>());
    let deaf = ensured::<_>(
        &it.service,
        tower::util::MapErr::new(deaf, |error: std::convert::Infallible| error),
    );
    // Without a limit of its own, which would wake it.
    requests.spawn(async move { deaf.oneshot(()).await.map(drop) });
    eventually("both wait for a head", || it.leases() == 2).await;
    eventually("the fixture has one", || {
        it.fixture.requests().contains(&"GET /hang".to_owned())
    })
    .await;
    within("the stop", it.service.stop()).await.unwrap();
    while let Some(answer) = within("an error", requests.join_next()).await {
        let error = answer.unwrap().unwrap_err();
        assert!(
            matches!(kind(&*error), Some(ErrorKind::Stopped { .. })),
            "{error:?}"
        );
    }
    assert_eq!(it.service.status().phase, Phase::Stopped);
}

#[tokio::test]
async fn a_stop_that_comes_between_two_reads_is_reported_by_the_next() {
    let it = Setup::new("between two reads");
    let frames = (0..3).map(|_| Step::Data("x"));
    let client = ensured(&it.service, answers(Script::new(frames)));
    let mut body = send(&client, ()).await.unwrap().into_body();
    assert_eq!(chunk(&mut body).await.unwrap().unwrap(), "x");
    within("the stop", it.service.stop()).await.unwrap();
    // The client has more, as one with a buffer would, but the answer will not be whole.
    let error = chunk(&mut body).await.unwrap().unwrap_err();
    assert!(
        matches!(kind(&*error), Some(ErrorKind::Stopped { .. })),
        "{error:?}"
    );
}

/// A client that never is ready.
#[derive(Clone)]
struct NeverReady;

impl tower::Service<http::Request<()>> for NeverReady {
    type Response = http::Response<String>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Pending
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        std::future::ready(Ok(http::Response::default()))
    }
}

#[tokio::test]
async fn a_stop_wakes_a_request_whose_client_is_never_ready() {
    let it = Setup::new("a client that is never ready");
    let client = ensured(&it.service, NeverReady);
    let mut asking = JoinSet::new();
    asking.spawn(client.oneshot(http::Request::new(())));
    eventually("a lease", || it.leases() == 1).await;
    within("the stop", it.service.stop()).await.unwrap();
    let answer = within("the answer", asking.join_next()).await.unwrap();
    let error = answer.unwrap().unwrap_err();
    assert!(matches!(kind(&*error), Some(ErrorKind::Stopped { .. })));
}
