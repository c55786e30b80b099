//! What `poll_ready` and `call` do, and above all what they do not.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    time::Duration,
};

use http_body_util::Empty;
use hyper::body::Bytes;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer as _, Service, ServiceExt, limit::ConcurrencyLimit};
use tower_local_service::{EnsureLocalServiceLayer, EnsureOn, ErrorKind, Phase};
use tower_test::{
    assert_request_eq,
    mock::{self, Mock},
};

use crate::{
    clients::{Setup, ensured, kind, send},
    fakes::{Script, answers},
    support::{Fixture, eventually, within},
};

type Answer = http::Response<Empty<Bytes>>;

/// Longer than a start takes that was asked for.
async fn a_while() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

fn assert_untouched(it: &Setup) {
    let status = it.service.status();
    assert_eq!((status.phase, status.starts), (Phase::Stopped, 0));
    assert_eq!((status.leases, status.waiters), (0, 0));
    assert!(it.service.journal().is_empty(), "nobody asked for anything");
    assert!(it.fixture.starts().is_empty());
}

#[tokio::test]
async fn readiness_is_there_at_once_and_starts_nothing() {
    let it = Setup::new("ready at once");
    // A client that is never ready has nothing to do with it.
    let (client, mut handle) = mock::pair::<(), Answer>();
    handle.allow(0);
    let mut client = ensured(&it.service, client);
    for _ in 0..3 {
        assert_ready_ok!(task::spawn(client.ready()).poll());
    }
    a_while().await;
    assert_untouched(&it);
}

#[tokio::test]
async fn a_call_has_no_effect_before_its_future_is_polled() {
    let it = Setup::new("an unpolled call");
    let (mut client, mut handle) =
        mock::spawn_with(|client: Mock<(), Answer>| ensured(&it.service, client));
    assert_ready_ok!(client.poll_ready());
    let response = client.call(());
    a_while().await;
    assert_untouched(&it);
    assert_pending!(handle.poll_request(), "no request was sent");
    drop(response);
    a_while().await;
    assert_untouched(&it);

    let response = client.call(());
    let answer = async {
        let (request, reply) = handle.next_request().await.unwrap();
        let () = request;
        reply.send_response(Answer::default());
    };
    let (response, ()) = within("an answer", async { tokio::join!(response, answer) }).await;
    response.unwrap();
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn the_client_is_ready_when_it_is_called_and_the_lease_is_taken_before() {
    let it = Setup::new("a client that is not ready");
    // It panics if it is called without having been ready.
    let (mut client, mut handle) =
        mock::spawn_with(|client: Mock<(), Answer>| ensured(&it.service, client));
    handle.allow(0);
    assert_ready_ok!(client.poll_ready());
    let mut response = task::spawn(client.call(()));
    assert_pending!(response.poll());
    eventually("the server is ready", || response.is_woken()).await;
    assert_pending!(response.poll(), "the client is not");
    assert_eq!(it.leases(), 1);
    assert_pending!(handle.poll_request());

    handle.allow(1);
    assert!(response.is_woken());
    assert_pending!(response.poll());
    assert_request_eq!(handle, ()).send_response(Answer::default());
    let response = assert_ready_ok!(response.poll());
    assert_eq!(it.leases(), 0, "the body is empty");
    drop(response);
}

#[tokio::test]
async fn an_error_of_the_clients_readiness_is_the_responses_and_costs_no_lease() {
    let it = Setup::new("a client that broke");
    let (mut client, mut handle) =
        mock::spawn_with(|client: Mock<(), Answer>| ensured(&it.service, client));
    it.service.start().await.unwrap();
    handle.send_error("out of order");
    assert_ready_ok!(client.poll_ready(), "not an error of this crate");
    let error = within("an error", client.call(())).await.unwrap_err();
    assert_eq!(error.to_string(), "out of order");
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_cold_start_holds_no_permit_of_the_client() {
    let fixture = Fixture::new().with("--delay-bind", 1500);
    let it = Setup::with("no permit", fixture);
    let limited = ConcurrencyLimit::new(answers(Script::counted([])), 1);
    let client = ensured(&it.service, limited.clone());
    let mut cold = task::spawn(client.oneshot(()));
    assert_pending!(cold.poll());
    eventually("it starts", || it.fixture.starts().len() == 1).await;
    assert_pending!(cold.poll());
    // A client that shares the limit, and needs no start, is served meanwhile.
    let other = within("the only permit", limited.oneshot(())).await;
    assert_eq!(other.unwrap().status(), 200);
    assert_eq!(it.service.status().phase, Phase::Starting);
    within("the cold request", cold).await.unwrap();
}

#[tokio::test]
async fn with_poll_ready_the_start_is_waited_for_there_and_no_lease_is_kept() {
    let it = Setup::new("a start in poll_ready");
    let layer =
        EnsureLocalServiceLayer::new(it.service.every_request()).ensure_on(EnsureOn::PollReady);
    let mut client = layer.layer(answers(Script::counted([])));
    let mut ready = task::spawn(poll_fn(|cx| Service::<()>::poll_ready(&mut client, cx)));
    assert_pending!(ready.poll());
    within("readiness", &mut ready).await.unwrap();
    drop(ready);
    let status = it.service.status();
    assert_eq!((status.phase, status.leases), (Phase::Ready, 0));
    within("a warm answer", client.call(())).await.unwrap();
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_start_that_poll_ready_asked_for_is_no_use_of_the_server() {
    let it = Setup::configured("asked and left", Fixture::new(), |config| {
        config.idle_stop(Duration::from_millis(100))
    });
    let layer =
        EnsureLocalServiceLayer::new(it.service.every_request()).ensure_on(EnsureOn::PollReady);
    let mut client = layer.layer(answers(Script::counted([])));
    // Asked once and never again, as `LoadShed` does; the client lives on.
    assert_pending!(task::spawn(ServiceExt::<()>::ready(&mut client)).poll());
    eventually("it is started", || !it.fixture.starts().is_empty()).await;
    eventually("it is idle, and stopped", || it.fixture.alive().is_empty()).await;
}

#[tokio::test]
async fn with_poll_ready_a_failed_start_is_the_responses_error_and_not_the_last_word() {
    let fixture = Fixture::new();
    let it = Setup::with(
        "heals",
        fixture.flag("--exit-at-start").with("--exit-code", 7),
    );
    let layer =
        EnsureLocalServiceLayer::new(it.service.every_request()).ensure_on(EnsureOn::PollReady);
    let mut client = layer.layer(answers(Script::counted([])));
    for _ in 0..2 {
        let ready = within("readiness", ServiceExt::<()>::ready(&mut client)).await;
        let response = ready.expect("never an error of readiness").call(());
        let error = within("an error", response).await.unwrap_err();
        let exited = matches!(kind(&*error), Some(ErrorKind::Exited { code: Some(7), .. }));
        assert!(exited, "{error:?}");
    }
    let ready = within("readiness", ServiceExt::<()>::ready(&mut client)).await;
    let error = within("an error", ready.unwrap().call(()))
        .await
        .unwrap_err();
    assert!(
        matches!(kind(&*error), Some(ErrorKind::CrashLoop { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_client_of_another_kind_of_request_is_wrapped_as_well() {
    /// Builds what is sent; the client decides when.
    struct Factory(Box<dyn FnOnce() -> &'static str + Send>);

    let it = Setup::new("requests of any type");
    let client = tower::service_fn(async |Factory(build): Factory| {
        let body = http_body_util::Full::<Bytes>::from(build());
        Ok::<_, Infallible>(http::Response::new(body))
    });
    let client = ensured(&it.service, client);
    let request = Factory(Box::new(|| "built when it was sent"));
    let response = send(&client, request).await.unwrap();
    let text = crate::clients::text(response.into_body()).await.unwrap();
    assert_eq!(text, "built when it was sent");
    assert_eq!(it.fixture.starts().len(), 1);
}

#[test]
fn a_request_that_passes_through_needs_no_runtime() {
    fn is_send(_: &(impl Future + Send)) {}
    let nobody = |(): &()| None;
    let client = EnsureLocalServiceLayer::new(nobody).layer(answers(Script::counted([])));
    let mut response = task::spawn(client.oneshot(()));
    is_send(&response);
    assert_ready!(response.poll()).unwrap();
}
