//! Two servers for one port, a client with the layer, and one without.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tower::{Service, ServiceExt};
use tower_local_service::{BoxError, EnsureLocalService, LocalService, body::LeasedBody};

use super::server;

/// How long a model loads.
const LOADING: Duration = Duration::from_millis(700);

pub(crate) type Bare = Client<HttpConnector, Full<Bytes>>;
pub(crate) type Layered = EnsureLocalService<Bare>;

#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) port: u16,
    pub(crate) one: LocalService,
    /// Another model on the same port.
    pub(crate) other: LocalService,
    pub(crate) bare: Bare,
}

impl Setup {
    pub(crate) fn new() -> Result<Self, BoxError> {
        let port = server::free_port()?;
        Ok(Self {
            port,
            one: service(port, "one")?,
            other: service(port, "other")?,
            // A connection for each request, so that none is older than its server.
            bare: Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build_http(),
        })
    }

    /// All that a program has to do.
    pub(crate) fn layered(&self, service: &LocalService) -> Layered {
        EnsureLocalService::new(self.bare.clone(), service.clone())
    }

    /// What the server says of itself: its pid, how many requests it had, and how long it has been ready.
    pub(crate) async fn facts<S, B>(&self, client: S) -> Result<Value, BoxError>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>>,
        B: http_body::Body<Error: Into<BoxError>>,
    {
        let url = format!("{}/facts", server::base_url(self.port));
        let request = Request::get(url).body(Full::default())?;
        let response = client.oneshot(request).await.map_err(Into::into)?;
        let body = response.into_body().collect().await.map_err(Into::into)?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }

    /// A streamed chat.
    pub(crate) async fn stream(&self) -> Result<Response<LeasedBody<Incoming>>, BoxError> {
        let url = format!("{}/chat/completions", server::base_url(self.port));
        let request = Request::post(url).body(Full::from(server::QUESTION))?;
        self.layered(&self.one).oneshot(request).await
    }
}

pub(crate) fn service(port: u16, model: &str) -> Result<LocalService, BoxError> {
    let config = server::config(port, model, LOADING)?.idle_stop(Duration::from_secs(1));
    Ok(LocalService::new(model, server::base_url(port), config)?)
}
