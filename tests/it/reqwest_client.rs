//! reqwest, whose request and response are types of its own.

use std::{future::Future, pin::Pin};

use http_body_util::BodyExt as _;
use reqwest::{Client, Method, Request, Url};
use tower::{ServiceBuilder, ServiceExt as _, buffer::BufferLayer};
use tower_local_service::{BoxError, ColdStart, EnsureLocalServiceLayer, ErrorKind, Lease};

use crate::{
    clients::{Setup, ensured, kind, send},
    support::within,
};

pub(crate) fn get(url: &str) -> Request {
    Request::new(Method::GET, Url::parse(url).expect("a URL"))
}

#[tokio::test]
async fn a_response_of_reqwest_keeps_everything_that_it_says() {
    let it = Setup::new("reqwest, as the bare one");
    let bare = Client::new();
    let client = ensured(&it.service, bare.clone());
    it.service.start().await.unwrap();
    for path in [
        "/hello?query=1",
        "/bytes?n=5000",
        "/stream",
        "/close-delimited",
        "/empty",
        "/status/404",
    ] {
        let url = it.fixture.url(path);
        let theirs = within("the bare answer", bare.execute(get(&url)))
            .await
            .unwrap();
        let ours = send(&client, get(&url)).await.unwrap();
        assert_eq!(ours.url().as_str(), url);
        assert_eq!(ours.url(), theirs.url());
        assert_eq!(ours.status(), theirs.status());
        assert_eq!(ours.version(), theirs.version(), "{path}");
        assert_eq!(ours.headers(), theirs.headers());
        assert_eq!(ours.content_length(), theirs.content_length(), "{path}");
        assert_eq!(ours.remote_addr(), theirs.remote_addr());
        let (ours, theirs) = tokio::join!(ours.bytes(), theirs.bytes());
        assert_eq!(ours.unwrap(), theirs.unwrap(), "{path}");
    }
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_response_of_reqwest_keeps_the_url_to_which_it_was_redirected() {
    let target = Setup::new("reqwest, the target");
    let _elsewhere = target.fixture.run_outside();
    let goal = target.fixture.url("/hello");
    let fixture = crate::support::Fixture::new().with("--redirect", &goal);
    let it = Setup::configured("reqwest, redirected", fixture, |config| {
        config.health_status([302])
    });
    let client = ensured(&it.service, Client::new());
    let response = send(&client, get(&it.fixture.url("/moved"))).await.unwrap();
    assert_eq!(response.url().as_str(), goal);
    assert_eq!(response.text().await.unwrap(), "hello");
}

#[tokio::test]
async fn trailers_of_reqwest_come_through() {
    let it = Setup::new("reqwest, trailers");
    let client = ensured(&it.service, Client::new());
    let response = send(&client, get(&it.fixture.url("/trailers")))
        .await
        .unwrap();
    let whole = within("the body", reqwest::Body::from(response).collect())
        .await
        .unwrap();
    assert_eq!(whole.trailers().unwrap()["x-check"], "whole");
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_response_of_reqwest_holds_its_lease_to_the_end() {
    let it = Setup::new("reqwest, lease");
    let client = ensured(&it.service, Client::new());
    let url = it.fixture.url("/stream?chunks=2&gap_ms=30");
    let mut cold = send(&client, get(&url)).await.unwrap();
    assert!(cold.extensions().get::<ColdStart>().is_some());
    assert!(cold.chunk().await.unwrap().is_some());
    assert_eq!(it.leases(), 1);
    while cold.chunk().await.unwrap().is_some() {}
    assert_eq!(it.leases(), 0);

    let warm = send(&client, get(&url)).await.unwrap();
    assert!(warm.extensions().get::<ColdStart>().is_none());
    assert_eq!(it.leases(), 1);
    drop(warm);
    assert_eq!(it.leases(), 0);
    for path in ["/empty", "/status/200"] {
        let _empty = send(&client, get(&it.fixture.url(path))).await.unwrap();
        assert_eq!(it.leases(), 0, "{path}");
    }
    let mut head = get(&it.fixture.url("/hello"));
    *head.method_mut() = Method::HEAD;
    let _head = send(&client, head).await.unwrap();
    assert_eq!(it.leases(), 0, "HEAD");
}

#[tokio::test]
async fn an_error_of_this_crate_is_found_in_those_of_reqwest() {
    let it = Setup::new("reqwest, stopped");
    let client = ensured(&it.service, Client::new());
    let mut response = send(&client, get(&it.fixture.url("/stall?chunks=1")))
        .await
        .unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "chunk 0\n");
    within("the stop", it.service.stop()).await.unwrap();
    let error = within("the end", response.chunk()).await.unwrap_err();
    assert!(
        matches!(kind(&error), Some(ErrorKind::Stopped { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_error_of_reqwest_is_the_source_of_what_the_server_died_of() {
    let it = Setup::new("reqwest, a death");
    let client = ensured(&it.service, Client::new());
    let error = send(&client, get(&it.fixture.url("/die")))
        .await
        .unwrap_err();
    assert!(
        matches!(kind(&*error), Some(ErrorKind::Exited { code: Some(1), .. })),
        "{error:?}"
    );
    let client = error.source().expect("what reqwest said");
    let client: &reqwest::Error = client.downcast_ref().expect("not wrapped");
    assert!(client.is_request());
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn an_error_of_reqwest_is_still_one_if_the_server_lives() {
    let it = Setup::new("reqwest, its own error");
    let client = ensured(&it.service, Client::new());
    let error = send(&client, get(&it.fixture.url("/hang-up")))
        .await
        .unwrap_err();
    let error: Box<reqwest::Error> = error.downcast().expect("not wrapped");
    assert!(error.is_request());
    assert_eq!(it.fixture.starts().len(), 1);
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn an_upgrade_of_reqwest_carries_its_lease() {
    let it = Setup::new("reqwest, upgrade");
    let client = ensured(&it.service, Client::new());
    let mut request = get(&it.fixture.url("/upgrade"));
    for (name, value) in [("connection", "upgrade"), ("upgrade", "echo")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let mut response = send(&client, request).await.unwrap();
    assert_eq!(response.status(), 101);
    let lease = response
        .extensions_mut()
        .remove::<Lease>()
        .expect("a lease");
    let socket = within("an upgrade", response.upgrade()).await.unwrap();
    assert_eq!(it.leases(), 1);
    drop(socket);
    assert_eq!(it.leases(), 1, "the lease is beside the socket");
    drop(lease);
    assert_eq!(it.leases(), 0);
}

/// Builds the request when it is sent, as clients that sign their requests do.
struct Factory(Box<dyn FnOnce(&Client) -> reqwest::RequestBuilder + Send>);

#[derive(Clone)]
struct Builds(Client);

impl tower::Service<Factory> for Builds {
    type Response = reqwest::Response;
    type Error = reqwest::Error;
    type Future = Pin<Box<dyn Future<Output = Result<reqwest::Response, reqwest::Error>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), reqwest::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, Factory(build): Factory) -> Self::Future {
        Box::pin(build(&self.0).send())
    }
}

#[tokio::test]
async fn a_client_with_requests_of_its_own_type_is_wrapped_as_well() {
    fn is_sync<T: Sync>(_: &T) {}

    let it = Setup::new("reqwest, factory");
    let client = ensured(&it.service, Builds(Client::new()));
    is_sync(&client);
    let url = it.fixture.url("/echo");
    let build = move |client: &Client| client.post(url).body("built when it was sent");
    let response = send(&client, Factory(Box::new(build))).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "built when it was sent");
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_pooled_client_behind_a_buffer_serves_many_through_restarts() {
    let it = Setup::new("reqwest, buffered");
    let client = ServiceBuilder::new()
        .layer(BufferLayer::new(4))
        .layer(EnsureLocalServiceLayer::new(it.service.clone()))
        .service(Client::new());
    for _ in 0..3 {
        let mut requests = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let (client, url) = (client.clone(), it.fixture.url("/hello"));
            requests.spawn(async move {
                let response = client.oneshot(get(&url)).await?;
                Ok::<_, BoxError>(response.text().await?)
            });
        }
        let texts = within("all are served", requests.join_all()).await;
        assert!(
            texts
                .iter()
                .all(|text| text.as_ref().is_ok_and(|it| it == "hello")),
            "{texts:?}"
        );
        within("the stop", it.service.stop()).await.unwrap();
    }
    assert_eq!(it.fixture.starts().len(), 3);
}
