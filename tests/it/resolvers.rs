//! Which requests a layer is for; the others pass through as if it were not there.

use std::collections::HashMap;

use http::Uri;
use tower::Layer as _;
use tower_local_service::{
    ColdStart, EnsureLocalService, EnsureLocalServiceLayer, LocalService, LocalServiceConfig,
    Phase, Registry,
};

use crate::{
    clients::{HyperClient, Request, Setup, get, hyper_client, send, text},
    support::{Fixture, free_port},
};

#[tokio::test]
async fn a_closure_says_which_service_a_request_is_for() {
    let (chat, images) = (Setup::new("chat"), Setup::new("images"));
    let served = |it: &Setup| (it.fixture.port(), it.service.clone());
    let services = HashMap::from([served(&chat), served(&images)]);
    let by_port = move |request: &Request| services.get(&request.uri().port_u16()?).cloned();
    let client = EnsureLocalServiceLayer::new(by_port).layer(hyper_client());

    let response = send(&client, get(&images.fixture.url("/hello")))
        .await
        .unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    assert_eq!(images.fixture.starts().len(), 1);
    assert_eq!(chat.service.status().phase, Phase::Stopped);

    let response = send(&client, get(&chat.fixture.url("/hello")))
        .await
        .unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    assert_eq!(chat.fixture.starts().len(), 1);

    // A server that is not configured: it does not run, and must not be started.
    let nowhere = format!("http://127.0.0.1:{}/", free_port());
    send(&client, get(&nowhere))
        .await
        .expect_err("nobody listens there");
    drop(client);
}

#[tokio::test]
async fn other_origins_pass_through_untouched() {
    let other = Fixture::new();
    let _elsewhere = other.run_outside();
    let it = Setup::new("its origin");
    let layer = EnsureLocalServiceLayer::new(it.service.clone());
    let client = layer.layer(hyper_client());

    let response = send(&client, get(&other.url("/hello"))).await.unwrap();
    assert!(response.extensions().get::<ColdStart>().is_none());
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    assert_eq!(other.requests(), ["GET /hello"], "no probe went there");
    assert!(
        it.service.journal().is_empty(),
        "nothing was asked of the service"
    );

    let response = send(&client, get(&it.fixture.url("/hello"))).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    assert_eq!(it.fixture.starts().len(), 1);
    drop((client, layer));
}

#[tokio::test]
async fn all_paths_of_its_origin_are_its_own_and_localhost_is_loopback() {
    let it = Setup::new("localhost");
    let layer = EnsureLocalServiceLayer::new(it.service.clone());
    let client = layer.layer(hyper_client());
    let port = it.fixture.port();
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.0.0.2"] {
        it.service.stop().await.unwrap();
        let before = it.fixture.starts().len();
        // The server does not listen on 127.0.0.2, which is this machine as well.
        let url = format!("http://{host}:{port}/hello?query");
        drop(send(&client, get(&url)).await);
        assert_eq!(it.fixture.starts().len(), before + 1, "{host}");
    }
    drop((client, layer));
}

#[tokio::test]
async fn with_every_request_a_request_to_any_url_starts_the_service() {
    let other = Fixture::new();
    let _elsewhere = other.run_outside();
    let it = Setup::new("every request");
    let client = EnsureLocalServiceLayer::new(it.service.every_request()).layer(hyper_client());
    let response = send(&client, get(&other.url("/hello"))).await.unwrap();
    assert!(response.extensions().get::<ColdStart>().is_some());
    assert_eq!(it.fixture.starts().len(), 1);
    assert_eq!(it.leases(), 1);
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    assert_eq!(it.leases(), 0);
}

#[tokio::test]
async fn a_client_is_wrapped_with_a_layer_or_without() {
    let it = Setup::new("wrapped");
    let mut client = EnsureLocalService::new(hyper_client(), it.service.clone());
    let url = it.fixture.url("/hello");
    let response = send(&client, get(&url)).await.unwrap();
    assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    assert_eq!(it.fixture.starts().len(), 1);

    let _: (&HyperClient, &HyperClient) = (&client.get_mut().clone(), client.get_ref());
    let client = EnsureLocalService::layer(it.service.clone()).layer(client.into_inner());
    let response = send(&client, get(&url)).await.unwrap();
    assert_eq!(it.leases(), 1);
    drop(response);
}

#[cfg_attr(windows, ignore = "its command is a path of Unix")]
#[test]
fn an_origin_is_scheme_host_and_port() {
    use tower_local_service::Resolve as _;

    let service = |base: &str| {
        let config = LocalServiceConfig::new("/bin/false");
        Registry::new().service("origin", base, config).unwrap()
    };
    let is_for = |service: &LocalService, url: &'static str| {
        let request = http::Request::get(Uri::from_static(url)).body(()).unwrap();
        service.resolve(&request).is_some()
    };
    let with_port = service("http://127.0.0.1:9100/v1");
    for url in [
        "http://127.0.0.1:9100/v1/chat",
        "http://localhost:9100/",
        "http://[::1]:9100/",
    ] {
        assert!(is_for(&with_port, url), "{url}");
    }
    for url in [
        "http://127.0.0.1:9101/v1",
        "http://127.0.0.1/v1",
        "https://127.0.0.1:9100/v1",
        "http://example.com:9100/v1",
        "http://localhost.example.com:9100/v1",
        "/v1/chat",
    ] {
        assert!(!is_for(&with_port, url), "{url}");
    }
    let default_port = service("http://localhost/v1");
    assert!(is_for(&default_port, "http://127.0.0.1:80/"));
    assert!(is_for(&default_port, "http://localhost/"));
    assert!(!is_for(&default_port, "http://localhost:8080/"));
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn reqwest_passes_other_origins_through_untouched() {
    use crate::reqwest_client;

    let other = Fixture::new();
    let _elsewhere = other.run_outside();
    let it = Setup::new("its origin, reqwest");
    let layer = EnsureLocalServiceLayer::new(it.service.clone());
    let client = layer.layer(reqwest::Client::new());

    let url = other.url("/hello");
    let response = send(&client, reqwest_client::get(&url)).await.unwrap();
    assert_eq!(response.url().as_str(), url);
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_eq!(other.requests(), ["GET /hello"]);
    assert!(it.service.journal().is_empty());

    let url = format!("http://localhost:{}/hello", it.fixture.port());
    let response = send(&client, reqwest_client::get(&url)).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_eq!(it.fixture.starts().len(), 1);
    drop((client, layer));
}
