//! The layer among other layers of Tower's.
//!
//! The tests with a `Buffer` have a thread for its worker, which holds the client that it was given.

use std::{
    future::{Ready, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::time::Instant;
use tower::{
    BoxError, Layer as _, Service, ServiceBuilder, ServiceExt as _,
    balance::p2c::Balance,
    buffer::BufferLayer,
    discover::ServiceList,
    load::Constant,
    load_shed::error::Overloaded,
    retry::{Policy, RetryLayer},
    steer::Steer,
    timeout::error::Elapsed,
};
use tower_local_service::{
    EnsureLocalServiceLayer, EnsureOn, ErrorKind, EveryRequest, LocalService, Phase,
};

use crate::{
    clients::{Setup, get, hyper_client, kind, send, text},
    fakes::{Script, answers},
    support::{Fixture, PROGRAM, eventually, kill, within},
};

fn layer(service: &LocalService) -> EnsureLocalServiceLayer<EveryRequest> {
    EnsureLocalServiceLayer::new(service.every_request())
}

fn on_poll_ready(service: &LocalService) -> EnsureLocalServiceLayer<EveryRequest> {
    layer(service).ensure_on(EnsureOn::PollReady)
}

/// A client that answers at once.
fn quick()
-> impl Service<(), Response = http::Response<Script>, Error = std::convert::Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    answers(Script::counted([]))
}

#[tokio::test]
async fn a_timeout_outside_counts_the_cold_start_which_continues() {
    let it = Setup::with("timeout outside", Fixture::new().with("--delay-bind", 700));
    let client = ServiceBuilder::new()
        .timeout(Duration::from_millis(100))
        .layer(layer(&it.service))
        .service(hyper_client());
    let url = it.fixture.url("/hello");
    let error = send(&client, get(&url)).await.unwrap_err();
    assert!(error.is::<Elapsed>(), "{error:?}");
    eventually("nobody waits", || it.service.status().waiters == 0).await;
    assert_eq!(it.service.status().phase, Phase::Starting);
    // Each further try finds it further along.
    let mut tries = 1;
    let response = loop {
        tries += 1;
        assert!(tries < 100, "no progress");
        // A pause in which no request waits for the start.
        tokio::time::sleep(Duration::from_millis(20)).await;
        match send(&client, get(&url)).await {
            Ok(response) => break response,
            Err(error) => assert!(error.is::<Elapsed>(), "{error:?}"),
        }
    };
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    assert!(tries > 2, "one wait was not enough");
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_timeout_inside_counts_only_the_request() {
    let it = Setup::with("timeout inside", Fixture::new().with("--delay-bind", 2000));
    let limit = Duration::from_millis(1500);
    let client = ServiceBuilder::new()
        .layer(layer(&it.service))
        .timeout(limit)
        .service(hyper_client());
    let response = send(&client, get(&it.fixture.url("/hello"))).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    let error = send(&client, get(&it.fixture.url("/hang")))
        .await
        .unwrap_err();
    assert!(error.is::<Elapsed>(), "{error:?}");
    assert_eq!(it.leases(), 0);
}

/// Tries again whatever failed, once.
#[derive(Clone)]
struct Once(bool);

impl<Req: Clone, Res> Policy<Req, Res, BoxError> for Once {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Req, result: &mut Result<Res, BoxError>) -> Option<Ready<()>> {
        let again = result.is_err() && !std::mem::replace(&mut self.0, true);
        again.then(|| ready(()))
    }

    fn clone_request(&mut self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn a_retry_outside_ensures_again() {
    let it = Setup::new("retry outside");
    let tries = Arc::new(AtomicUsize::new(0));
    let (counter, watched) = (tries.clone(), it.service.clone());
    let dying = tower::service_fn(move |()| {
        let first = counter.fetch_add(1, SeqCst) == 0;
        let watched = watched.clone();
        async move {
            if !first {
                return Ok(http::Response::new(Script::counted([])));
            }
            kill(watched.status().pid.expect("a server that runs"));
            eventually("its death is known", || {
                watched.status().phase != Phase::Ready
            })
            .await;
            Err("connection reset")
        }
    });
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(Once(false)))
        .layer(layer(&it.service))
        .service(dying);
    assert_eq!(send(&client, ()).await.unwrap().status(), 200);
    assert_eq!(tries.load(SeqCst), 2);
    assert_eq!(
        it.fixture.starts().len(),
        2,
        "the second try found no server"
    );
}

#[tokio::test]
async fn a_retry_outside_finds_out_that_an_external_server_is_gone() {
    let fixture = Fixture::new();
    let outside = Mutex::new(fixture.run_outside());
    let it = Setup::with("retry, external", fixture);
    let outside = Arc::new(outside);
    let tries = Arc::new(AtomicUsize::new(0));
    let (ends, counter) = (outside.clone(), tries.clone());
    let dying = tower::service_fn(move |request: &'static str| {
        // Only the request that fails because of it shows its end.
        let fails = request == "last" && counter.fetch_add(1, SeqCst) == 0;
        if fails {
            ends.lock().unwrap().end();
            return ready(Err("connection reset"));
        }
        ready(Ok(http::Response::new(Script::counted([]))))
    });
    let client = ServiceBuilder::new()
        .layer(RetryLayer::new(Once(false)))
        .layer(layer(&it.service))
        .service(dying);
    // Signs of life, until a second has passed in which it is not probed twice.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1300) {
        assert_eq!(send(&client, "one of many").await.unwrap().status(), 200);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(it.fixture.starts().len() == 1, "only the one outside");
    assert_eq!(send(&client, "last").await.unwrap().status(), 200);
    assert_eq!(tries.load(SeqCst), 2);
    assert_eq!(it.fixture.starts().len(), 2, "ours took its place");
}

#[tokio::test]
async fn load_shed_sheds_while_poll_ready_waits_for_the_start() {
    let it = Setup::with("load shed", Fixture::new().with("--delay-bind", 300));
    let client = ServiceBuilder::new()
        .load_shed()
        .layer(on_poll_ready(&it.service))
        .service(quick());
    let error = send(&client, ()).await.unwrap_err();
    assert!(error.is::<Overloaded>(), "{error:?}");
    eventually("it is ready", || it.service.status().phase == Phase::Ready).await;
    assert_eq!(send(&client, ()).await.unwrap().status(), 200);
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn load_shed_sheds_nothing_without_it() {
    let it = Setup::new("nothing to shed");
    let client = ServiceBuilder::new()
        .load_shed()
        .layer(layer(&it.service))
        .service(quick());
    assert_eq!(send(&client, ()).await.unwrap().status(), 200);
}

/// A server that cannot start before there is a file, and one that says so.
fn heals_with_a_file(fixture: Fixture) -> (Setup, String) {
    let cure = fixture.path("cure");
    let script = r#"test -e "$0" || exit 7; exec "$@""#;
    let args = [
        "-c".to_owned(),
        script.to_owned(),
        cure.clone(),
        PROGRAM.to_owned(),
        "--port".to_owned(),
        fixture.port().to_string(),
        "--starts-file".to_owned(),
        fixture.path("starts"),
    ];
    let config = tower_local_service::LocalServiceConfig::new("/bin/sh").args(args);
    (Setup::configured("heals", fixture, |_| config), cure)
}

async fn outlives_a_failed_start<S>(client: S, it: &Setup, cure: &str)
where
    S: Service<
            (),
            Response = http::Response<tower_local_service::body::LeasedBody<Script>>,
            Error = BoxError,
        > + Clone,
{
    let mut tries = 0;
    let error = loop {
        // `LoadShed` sheds until it knows that the start has failed.
        let error = send(&client, ()).await.unwrap_err();
        if !error.is::<Overloaded>() || tries > 1000 {
            break error;
        }
        tries += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    assert!(
        matches!(
            kind(&*error),
            Some(ErrorKind::Exited { code: Some(7), .. } | ErrorKind::CrashLoop { .. })
        ),
        "{error:?}"
    );
    std::fs::write(cure, "").unwrap();
    within("what forgives the failures", it.service.start())
        .await
        .unwrap();
    assert_eq!(send(&client, ()).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_buffer_outside_outlives_a_failed_start() {
    for ensure_on in [EnsureOn::Call, EnsureOn::PollReady] {
        let (it, cure) = heals_with_a_file(Fixture::new());
        let client = ServiceBuilder::new()
            .layer(BufferLayer::new(8))
            .layer(layer(&it.service).ensure_on(ensure_on))
            .service(quick());
        outlives_a_failed_start(client, &it, &cure).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn load_shed_outside_outlives_a_failed_start() {
    let (it, cure) = heals_with_a_file(Fixture::new());
    // One service for all requests, as a clone waits for a start of its own.
    let client = ServiceBuilder::new()
        .layer(BufferLayer::new(8))
        .load_shed()
        .layer(on_poll_ready(&it.service))
        .service(quick());
    outlives_a_failed_start(client, &it, &cure).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_buffer_outside_lets_many_wait_for_one_start() {
    let it = Setup::with("buffer outside", Fixture::new().with("--delay-bind", 200));
    let client = ServiceBuilder::new()
        .layer(BufferLayer::new(2))
        .layer(layer(&it.service))
        .service(hyper_client());
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (client, url) = (client.clone(), it.fixture.url("/hello"));
        requests.spawn(async move {
            let response = send(&client, get(&url)).await.unwrap();
            text(response.into_body()).await.unwrap()
        });
    }
    let texts = within("all are served", requests.join_all()).await;
    assert_eq!(texts, vec!["hello"; 20]);
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_buffer_inside_has_its_place_taken_after_the_start() {
    let it = Setup::with("buffer inside", Fixture::new().with("--delay-bind", 1500));
    let buffered = ServiceBuilder::new().buffer(1).service(hyper_client());
    let client = layer(&it.service).layer(buffered.clone());
    let (cold, url) = (client.clone(), it.fixture.url("/hello"));
    let mut requests = tokio::task::JoinSet::new();
    requests.spawn(async move { send(&cold, get(&url)).await });
    eventually("it starts", || it.fixture.starts().len() == 1).await;
    // The only place in the buffer is free.
    let mut other = buffered;
    within("a place", other.ready()).await.unwrap();
    assert_eq!(it.service.status().phase, Phase::Starting);
    drop(other);
    let response = within("the cold one", requests.join_next()).await;
    let body = response.unwrap().unwrap().unwrap().into_body();
    assert_eq!(text(body).await.unwrap(), "hello");
}

#[tokio::test]
async fn steer_starts_the_service_that_it_picks_and_no_other() {
    let (one, other) = (Setup::new("steer one"), Setup::new("steer other"));
    let clients = vec![
        layer(&one.service).layer(quick()),
        layer(&other.service).layer(quick()),
    ];
    // It asks all of them for readiness.
    let steer = Steer::new(clients, |(): &(), _: &[_]| 1);
    within("an answer", steer.oneshot(())).await.unwrap();
    assert_eq!(one.fixture.starts().len(), 0);
    assert!(one.service.journal().is_empty());
    assert_eq!(other.fixture.starts().len(), 1);
}

fn balance<L>(layers: impl IntoIterator<Item = L>) -> impl Service<(), Error: std::fmt::Debug>
where
    L: tower::Layer<AnyQuick, Service: Service<(), Error = BoxError>>,
{
    let loaded = layers
        .into_iter()
        .map(|layer| Constant::new(layer.layer(any_quick()), 1));
    Balance::new(ServiceList::new::<()>(loaded.collect::<Vec<_>>()))
}

type AnyQuick = tower::util::BoxCloneService<(), http::Response<Script>, std::convert::Infallible>;

fn any_quick() -> AnyQuick {
    tower::util::BoxCloneService::new(quick())
}

#[tokio::test]
async fn balance_starts_one_endpoint_for_one_request_and_all_with_poll_ready() {
    let (one, other) = (Setup::new("balance one"), Setup::new("balance other"));
    let starts = || one.fixture.starts().len() + other.fixture.starts().len();
    let mut lazy = balance([layer(&one.service), layer(&other.service)]);
    within("readiness", lazy.ready()).await.unwrap();
    assert!(one.service.journal().is_empty() && other.service.journal().is_empty());
    within("an answer", lazy.ready().await.unwrap().call(()))
        .await
        .unwrap();
    assert_eq!(starts(), 1);
    drop(lazy);

    let mut eager = balance([on_poll_ready(&one.service), on_poll_ready(&other.service)]);
    within("readiness", eager.ready()).await.unwrap();
    eventually("both are started", || starts() == 2).await;
}
