//! The way to a provider: the client that all requests share, and the layers around it.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{Request, Response},
};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower::{ServiceBuilder, ServiceExt as _, timeout::TimeoutLayer};
use tower_http::timeout::ResponseBodyTimeoutLayer;
use tower_local_service::{EnsureLocalServiceLayer, provider::Provider};

use crate::failure::Failure;

/// How long a connection is kept for the next request. Servers close idle connections, llama-server
/// after 5 s: a request that is on its way then is lost.
const KEPT_FOR: Duration = Duration::from_secs(3);

#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
}

/// Marks an answer of a provider, and not of this gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromProvider;

impl Upstream {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT_FOR)
            .build(connector);
        Self { client }
    }

    /// Starts the provider's server if need be, and sends the request. The answer keeps the server
    /// running until its body has ended or is dropped, which it is when the client hangs up.
    ///
    /// If the future is dropped, a start continues, and the next request waits only for the rest of it.
    pub(crate) async fn ask(
        &self,
        provider: &Provider,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Body>, Failure> {
        let (id, limit) = (provider.id.clone(), provider.timeout);
        let service = provider.service.clone();
        // A stack costs nothing to build, and its times are those of this provider. The time to the head
        // includes a cold start, so it is outside of the layer that starts the server.
        let client = ServiceBuilder::new()
            .layer(ResponseBodyTimeoutLayer::new(limit))
            .layer(TimeoutLayer::new(limit))
            .layer(EnsureLocalServiceLayer::new(move |_: &_| service.clone()))
            .service(self.client.clone());
        let mut response = client
            .oneshot(request)
            .await
            .map_err(|error| Failure::of(&id, limit, &error))?;
        response.extensions_mut().insert(FromProvider);
        Ok(response
            .map(|body| Body::new(body.map_err(move |error| Failure::of(&id, limit, &error)))))
    }
}
