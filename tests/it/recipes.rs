//! The recipes of `EnsureLocalService`'s documentation: what they promise, with real clients.

use reqwest_0_12::{Body, Client, Method, Request, Response, ResponseBuilderExt as _};
use tower::{Service, ServiceBuilder};
use tower_local_service::{
    BoxError, ColdStart, EnsureLocalServiceLayer, LocalService, Resolve as _, body::LeasedBody,
};

use crate::{
    clients::{Setup, send},
    support::Fixture,
};

fn get(url: &str) -> Request {
    Request::new(Method::GET, url.parse().unwrap())
}

fn client_of_0_12(
    service: LocalService,
) -> impl Service<Request, Response = Response, Error = BoxError> + Clone {
    let its_origin = move |request: &Request| {
        let request = http::Request::get(request.url().as_str()).body(()).ok()?;
        service.resolve(&request)
    };
    ServiceBuilder::new()
        .map_response(|response: http::Response<LeasedBody<Body>>| {
            Response::from(response.map(Body::wrap))
        })
        .layer(EnsureLocalServiceLayer::new(its_origin))
        .map_response(with_url)
        .service(Client::new())
}

fn with_url(response: Response) -> http::Response<Body> {
    let url = response.url().clone();
    let mut response = http::Response::from(response);
    if let Ok(holder) = http::Response::builder().url(url).body(()) {
        let (head, ()) = holder.into_parts();
        response.extensions_mut().extend(head.extensions);
    }
    response
}

#[tokio::test]
async fn a_client_of_reqwest_0_12_starts_the_server_and_its_response_holds_the_lease() {
    let it = Setup::new("reqwest 0.12");
    let client = client_of_0_12(it.service.clone());
    let url = it.fixture.url("/stream?chunks=2&gap_ms=30");
    let mut cold = send(&client, get(&url)).await.unwrap();
    assert_eq!(cold.url().as_str(), url);
    assert!(cold.extensions().get::<ColdStart>().is_some());
    assert!(cold.chunk().await.unwrap().is_some());
    assert_eq!(it.leases(), 1);
    while cold.chunk().await.unwrap().is_some() {}
    assert_eq!(it.leases(), 0);
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn reqwest_0_12_passes_other_origins_through() {
    let other = Fixture::new();
    let _elsewhere = other.run_outside();
    let it = Setup::new("reqwest 0.12, its origin");
    let client = client_of_0_12(it.service.clone());
    let url = other.url("/hello");
    let response = send(&client, get(&url)).await.unwrap();
    assert_eq!(response.url().as_str(), url);
    assert_eq!(response.text().await.unwrap(), "hello");
    assert!(it.service.journal().is_empty());
}

#[cfg(feature = "reqwest")]
mod anyhow {
    use anyhow::Context as _;
    use tower_local_service::{BoxError, EnsureLocalService, Error, ErrorKind};

    use super::Setup;
    use crate::{
        clients::send,
        reqwest_client::get,
        support::{Fixture, free_port},
    };

    fn into_anyhow(error: BoxError) -> anyhow::Error {
        let error = match error.downcast::<reqwest::Error>() {
            Ok(of_the_client) => return (*of_the_client).into(),
            Err(error) => error,
        };
        match error.downcast::<Error>() {
            Ok(of_the_layer) => (*of_the_layer).into(),
            Err(other) => anyhow::Error::from_boxed(other),
        }
    }

    async fn ask(it: &Setup, url: &str) -> anyhow::Result<String> {
        let client = EnsureLocalService::new(reqwest::Client::new(), it.service.clone());
        let response = send(&client, get(url)).await.map_err(into_anyhow);
        Ok(response.context("no answer")?.text().await?)
    }

    #[tokio::test]
    async fn anyhow_gives_the_clients_own_error_back_with_its_type() {
        let it = Setup::new("anyhow");
        let nowhere = format!("http://127.0.0.1:{}/", free_port());
        let error = ask(&it, &nowhere).await.unwrap_err();
        let of_the_client = error.downcast_ref::<reqwest::Error>();
        assert!(of_the_client.unwrap().is_connect(), "{error:?}");
        assert_eq!(ask(&it, &it.fixture.url("/hello")).await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn anyhow_gives_the_error_of_a_start_back_with_its_type() {
        let fixture = Fixture::new()
            .flag("--exit-at-start")
            .with("--exit-code", 3);
        let it = Setup::with("anyhow, fails", fixture);
        let error = ask(&it, &it.fixture.url("/hello")).await.unwrap_err();
        let of_the_layer = error.downcast_ref::<Error>().unwrap();
        let exited = matches!(of_the_layer.kind(), ErrorKind::Exited { code: Some(3), .. });
        assert!(exited, "{error:?}");
    }
}
