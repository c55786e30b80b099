//! A client with the layer around it. It keeps its connections, as a program's client does.

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use tower::{Layer as _, ServiceExt as _};
use tower_local_service::{
    BoxError, EnsureLocalService, EnsureLocalServiceLayer, Error, ErrorKind, LocalService,
    body::LeasedBody,
};

use serde_json::Value;

use super::Server;

pub(crate) type Answer = Response<LeasedBody<Incoming>>;

#[derive(Clone, Debug)]
pub(crate) struct Client {
    inner: EnsureLocalService<legacy::Client<HttpConnector, Full<Bytes>>>,
    base_url: String,
    key: Option<String>,
}

impl Client {
    pub(crate) fn new(server: &Server, service: &LocalService) -> Self {
        let client = legacy::Client::builder(TokioExecutor::new()).build_http();
        Self {
            inner: EnsureLocalServiceLayer::new(service.clone()).layer(client),
            base_url: server.base_url(),
            key: None,
        }
    }

    /// Sends this key with each request.
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(format!("Bearer {key}"));
        self
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, BoxError> {
        let request = Request::get(format!("{}{path}", self.base_url));
        self.send(request, String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, json: Value) -> Result<Answer, BoxError> {
        let request = Request::post(format!("{}{path}", self.base_url));
        let request = request.header("content-type", "application/json");
        self.send(request, json.to_string()).await
    }

    async fn send(
        &self,
        mut request: http::request::Builder,
        body: String,
    ) -> Result<Answer, BoxError> {
        if let Some(key) = &self.key {
            request = request.header("authorization", key);
        }
        let request = request.body(Full::from(body))?;
        self.inner.clone().oneshot(request).await
    }

    /// The body of a GET, which must succeed.
    pub(crate) async fn text(&self, path: &str) -> Result<String, BoxError> {
        let response = self.get(path).await?;
        assert_eq!(response.status(), StatusCode::OK);
        drain(response).await
    }
}

/// Reads the body to its end.
pub(crate) async fn drain(response: Answer) -> Result<String, BoxError> {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while !body.is_end_stream() {
        match body.frame().await {
            Some(frame) => text.extend(frame?.into_data().unwrap_or_default()),
            None => break,
        }
    }
    Ok(String::from_utf8(text)?)
}

/// The crate's error in a chain of errors; fails if there is none.
#[track_caller]
pub(crate) fn kind_of(error: &BoxError) -> ErrorKind {
    match Error::find_in(error.as_ref()) {
        Some(error) => error.kind().clone(),
        None => panic!("not an error of the crate: {error:?}"),
    }
}
