//! A request is sent again where its server has gone, once, and only if that does nothing twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use http::{HeaderValue, Method};
use tower::{
    ServiceBuilder, ServiceExt as _,
    retry::{Retry, RetryLayer},
    service_fn,
};
use tower_local_service::{
    BoxError, EnsureLocalService, EnsureLocalServiceLayer, ErrorKind, LocalService, Ownership,
    Phase, retry::ServerGone,
};

use crate::{
    clients::{HyperClient, Request, Setup, get, hyper_client, kind, request, send, text},
    support::{Fixture, Pid, amount, eventually, kill, ms, within},
};

type Resending<S> = Retry<ServerGone, EnsureLocalService<S>>;

fn resending<S>(service: &LocalService, client: S) -> Resending<S> {
    ServiceBuilder::new()
        .layer(RetryLayer::new(ServerGone::new(service.clone())))
        .layer(EnsureLocalServiceLayer::new(service.clone()))
        .service(client)
}

/// How often a server is killed.
fn rounds() -> usize {
    amount("RESENDING_ROUNDS", 200)
}

/// Kills the server on a thread of its own, some microseconds around the request that comes meanwhile.
struct Killer {
    pid: Pid,
    thread: std::thread::JoinHandle<()>,
}

impl Killer {
    async fn about_now(service: &LocalService, round: usize) -> Self {
        service.start().await.unwrap();
        let pid = service.status().pid.expect("a server that runs");
        let after = Duration::from_micros(u64::try_from(round % 10).expect("small") * 100);
        let thread = std::thread::spawn(move || {
            std::thread::sleep(after);
            kill(pid);
        });
        Self { pid, thread }
    }

    /// The next round is about another server.
    async fn done(self, service: &LocalService) {
        self.thread.join().unwrap();
        let is_known = || service.status().pid != Some(self.pid);
        eventually("its end is known", is_known).await;
    }
}

fn count(fixture: &Fixture, line: &str) -> usize {
    fixture.requests().iter().filter(|it| *it == line).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_get_of_hyper_fails_because_its_server_is_killed() {
    let it = Setup::new("killed under a GET");
    let client = resending(&it.service, hyper_client());
    for round in 0..rounds() {
        let killer = Killer::about_now(&it.service, round).await;
        // The server would answer late enough for the kill to come first, most of the time.
        let response = send(&client, get(&it.fixture.url("/slow?ms=1"))).await;
        let response = response.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        // A body that breaks off is not for a policy to repeat.
        let _ended = text(response.into_body()).await;
        killer.done(&it.service).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_post_is_executed_twice_because_its_server_is_killed() {
    let it = Setup::new("killed under a POST");
    let client = resending(&it.service, hyper_client());
    for round in 0..rounds() {
        let killer = Killer::about_now(&it.service, round).await;
        let before = count(&it.fixture, "POST /slow");
        let post = request(Method::POST, &it.fixture.url("/slow?ms=1"));
        let sent = send(&client, post).await;
        killer.done(&it.service).await;
        let times = count(&it.fixture, "POST /slow") - before;
        assert!(times <= 1, "round {round}: {times} times");
        assert!(
            sent.is_err() || times == 1,
            "round {round}: answered by nobody"
        );
    }
}

#[cfg(feature = "reqwest")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_get_of_reqwest_fails_and_no_post_is_executed_twice() {
    let it = Setup::new("killed under reqwest");
    let client = resending(&it.service, reqwest::Client::new());
    let slow: reqwest::Url = it.fixture.url("/slow?ms=1").parse().unwrap();
    for round in 0..rounds() {
        let killer = Killer::about_now(&it.service, round).await;
        let response = send(&client, reqwest::Request::new(Method::GET, slow.clone())).await;
        let response = response.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        let _ended = within("the end of a body", response.bytes()).await;
        killer.done(&it.service).await;

        let before = count(&it.fixture, "POST /slow");
        let killer = Killer::about_now(&it.service, round).await;
        let post = send(&client, reqwest::Request::new(Method::POST, slow.clone())).await;
        killer.done(&it.service).await;
        let times = count(&it.fixture, "POST /slow") - before;
        assert!(times <= 1, "round {round}: {times} times");
        assert!(
            post.is_err() || times == 1,
            "round {round}: answered by nobody"
        );
    }
}

#[tokio::test]
async fn a_get_under_which_the_server_dies_is_sent_once_more_and_no_oftener() {
    let it = Setup::new("dies of a GET");
    let client = resending(&it.service, hyper_client());
    let error = send(&client, get(&it.fixture.url("/die")))
        .await
        .unwrap_err();
    let died = matches!(kind(&*error), Some(ErrorKind::Exited { code: Some(1), .. }));
    assert!(died, "{error:?}");
    assert_eq!(count(&it.fixture, "GET /die"), 2);
}

#[tokio::test]
async fn a_post_that_was_sent_is_sent_again_only_with_an_idempotency_key() {
    let it = Setup::new("dies of a POST");
    let client = resending(&it.service, hyper_client());
    let post = || request(Method::POST, &it.fixture.url("/die"));
    send(&client, post()).await.unwrap_err();
    assert_eq!(count(&it.fixture, "POST /die"), 1);

    let mut with_key = post();
    let key = HeaderValue::from_static("7");
    with_key.headers_mut().insert("idempotency-key", key);
    eventually("its end is known", || {
        it.service.status().phase != Phase::Ready
    })
    .await;
    it.service.start().await.unwrap();
    send(&client, with_key).await.unwrap_err();
    assert_eq!(count(&it.fixture, "POST /die"), 3);
}

#[tokio::test]
async fn a_post_that_was_refused_is_sent_again() {
    let it = Setup::new("refused");
    let service = it.service.clone();
    // Kills the server behind the layer's back, before its first request is sent.
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let client: HyperClient = hyper_client();
    let client = service_fn(move |request: Request| {
        let (service, client, tries) = (service.clone(), client.clone(), counted.clone());
        async move {
            if tries.fetch_add(1, SeqCst) == 0 {
                let uri = request.uri().clone();
                let address = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(0));
                kill(service.status().pid.expect("a server that runs"));
                eventually("it refuses", || {
                    std::net::TcpStream::connect(address).is_err()
                })
                .await;
            }
            client.request(request).await
        }
    });
    let client = resending(&it.service, client);
    let post = request(Method::POST, &it.fixture.url("/hello"));
    let response = send(&client, post).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    assert_eq!(tries.load(SeqCst), 2);
    assert_eq!(count(&it.fixture, "POST /hello"), 1);
}

#[tokio::test]
async fn nothing_is_sent_again_to_a_server_that_lives() {
    let it = Setup::new("lives");
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let client = service_fn(move |_: Request| {
        counted.fetch_add(1, SeqCst);
        async { Err::<http::Response<String>, BoxError>("it broke".into()) }
    });
    let client = resending(&it.service, client);
    let error = send(&client, get(&it.fixture.url("/hello")))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "it broke");
    assert_eq!(tries.load(SeqCst), 1);
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn an_external_server_that_goes_away_is_replaced_by_an_owned_one_for_the_request() {
    let fixture = Fixture::new();
    let mut outside = fixture.run_outside();
    let it = Setup::with("external, resent", fixture);
    let client = resending(&it.service, hyper_client());
    let slow = get(&it.fixture.url("/slow?ms=3000"));
    let is_asked = || count(&it.fixture, "GET /slow") == 1;
    let (response, ()) = tokio::join!(send(&client, slow), async {
        eventually("it is asked", is_asked).await;
        // An external server is checked again after a second at the soonest.
        let up_for = || it.service.status().up_for.unwrap_or_default();
        eventually("it may be looked at", || up_for() > ms(1100)).await;
        outside.end();
    });
    let response = response.unwrap();
    assert!(response.status().is_success());
    assert_eq!(count(&it.fixture, "GET /slow"), 2);
    assert_eq!(it.service.status().ownership, Some(Ownership::Owned));
}

#[tokio::test]
async fn an_error_of_this_crate_is_no_reason_to_send_again() {
    let fixture = Fixture::new().flag("--exit-at-start");
    let it = Setup::with("fails to start, resent", fixture);
    let client = resending(&it.service, hyper_client());
    let error = send(&client, get(&it.fixture.url("/hello")))
        .await
        .unwrap_err();
    assert!(kind(&*error).is_some(), "{error:?}");
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_request_that_passes_through_is_not_sent_again() {
    let it = Setup::new("elsewhere");
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = tries.clone();
    let client = service_fn(move |_: Request| {
        counted.fetch_add(1, SeqCst);
        async { Err::<http::Response<String>, BoxError>("it broke".into()) }
    });
    let client = ServiceBuilder::new()
        .retry(ServerGone::new(it.service.clone()))
        .layer(EnsureLocalServiceLayer::new(it.service.clone()))
        .service(client);
    let elsewhere = get("http://127.0.0.1:1/");
    client.oneshot(elsewhere).await.unwrap_err();
    assert_eq!(tries.load(SeqCst), 1);
    assert_eq!(it.fixture.starts(), [0; 0]);
}
