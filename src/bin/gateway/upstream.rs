//! The way to a provider: the client that all requests share, and the layers around it.

use std::time::Duration;

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{Request, Response},
};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower::{ServiceBuilder, ServiceExt as _, timeout::TimeoutLayer, util::MapResponse};
use tower_local_service::{
    BoxError, EnsureLocalServiceLayer, provider::Provider, retry::ServerGone,
};

use crate::{early_answer::EarlyAnswer, events, failure::Failure, progress::Progress, tls};

/// How long a connection is kept for the next request. Servers close idle connections, llama-server
/// after 5 s: a request that is on its way then is lost.
const KEPT_FOR: Duration = Duration::from_secs(3);

type Connector =
    MapResponse<HttpsConnector<HttpConnector>, fn(tls::Stream) -> EarlyAnswer<tls::Stream>>;

/// The longest refusal that is read before it is passed on.
const REFUSAL: u64 = 64 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    client: Client<Connector, Body>,
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
            .build(MapResponse::new(
                tls::connector(connector),
                EarlyAnswer::new as fn(_) -> _,
            ));
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
        let limit = provider.timeout;
        let service = provider.service.clone();
        let service = move |_: &Request<Full<Bytes>>| service.clone();
        // A stack costs nothing to build, and its times are those of this provider. The time to the head
        // includes a cold start, so it is outside of the layer that starts the server. A request that was
        // refused was not sent: it is sent again, to a server that is started again.
        let client = ServiceBuilder::new()
            .layer(TimeoutLayer::new(limit))
            .retry(ServerGone::new(service.clone()))
            .layer(EnsureLocalServiceLayer::new(service))
            .map_request(|request: Request<Full<Bytes>>| request.map(Body::new))
            .service(self.client.clone());
        received(provider, client.oneshot(request).await).await
    }

    /// The same with a body that is sent as it comes, and so only once.
    pub(crate) async fn ask_once(
        &self,
        provider: &Provider,
        request: Request<Body>,
    ) -> Result<Response<Body>, Failure> {
        let service = provider.service.clone();
        let client = ServiceBuilder::new()
            .layer(TimeoutLayer::new(provider.timeout))
            .layer(EnsureLocalServiceLayer::new(move |_: &_| service.clone()))
            .service(self.client.clone());
        received(provider, client.oneshot(request).await).await
    }
}

/// What came of a request: an answer that breaks off when nothing of it comes for too long.
async fn received<B>(
    provider: &Provider,
    answer: Result<Response<B>, BoxError>,
) -> Result<Response<Body>, Failure>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (id, limit) = (provider.id.clone(), provider.timeout);
    let mut response = answer.map_err(|error| Failure::of(&id, limit, &error))?;
    response.extensions_mut().insert(FromProvider);
    let is_events = events::is_stream(&response);
    let response = response.map(|body| {
        let body = Progress::new(body, limit, is_events);
        Body::new(body.map_err(move |error| Failure::broke_off(&id, limit, &error)))
    });
    if response.status().as_u16() >= 400 {
        return refusal(response).await;
    }
    Ok(response)
}

/// A refusal with its words, or at least with its status: a server that closes while a request is still sent
/// may lose the end of what it has said.
async fn refusal(response: Response<Body>) -> Result<Response<Body>, Failure> {
    let is_short = |length| length <= REFUSAL;
    if !response.body().size_hint().exact().is_some_and(is_short) {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Ok(Response::from_parts(head, Body::new(body))),
        Err(_) => Err(Failure::refused(
            head.status,
            "it broke off before it said why",
        )),
    }
}
