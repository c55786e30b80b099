//! A client with the layer around it. Each request has a new one, so no connection is kept.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{ServiceBuilder, ServiceExt as _};
use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService, body::LeasedBody};

/// Sends a GET without reading the body. The time limit is inside of the layer, as a client's own.
pub(crate) async fn send(
    service: &LocalService,
    url: &str,
    limit: Duration,
) -> Result<Response<LeasedBody<Incoming>>, BoxError> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let client = ServiceBuilder::new()
        .layer(EnsureLocalServiceLayer::new(service.clone()))
        .timeout(limit)
        .service(client);
    client.oneshot(Request::get(url).body(Empty::new())?).await
}

/// Sends a GET, and reads the whole response.
pub(crate) async fn ask(
    service: &LocalService,
    url: &str,
) -> Result<(StatusCode, String), BoxError> {
    let response = send(service, url, super::PATIENCE).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
