//! The request that a server has to answer before it counts as ready.

mod json;
mod wire;

use std::fmt;

use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE, uri::PathAndQuery};

use self::json::Json;
pub(super) use self::wire::Wire as WrittenReadyRequest;
use super::{Refusals, health};

/// A request that a server has to answer, once for each instance, before it counts as ready: the warm-up.
///
/// It is sent to the origin of the base URL when the health URL is well, with the headers of the probes
/// (`healthHeaders`, and in a configuration file the provider's key). The answer is read to its end, up to 64 KiB. An
/// external server, and one that is ready, is never sent it. A connection that breaks, and 502, 503 and 504, mean that
/// the server is still loading: it is sent again. Any other status than the expected ones fails the start. Body and
/// answer are never shown.
///
/// # Example
///
/// ```
/// use tower_local_service::{LocalServiceConfig, ReadyRequest};
///
/// let warm_up = r#"{"model": "gemma", "prompt": "Hi", "max_tokens": 1}"#;
/// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
///     .ready_request(ReadyRequest::post("/v1/completions").json(warm_up));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ReadyRequest {
    method: String,
    path: String,
    body: Option<Body>,
    statuses: Option<Vec<u16>>,
}

#[derive(Clone, PartialEq, Eq)]
struct Body {
    text: String,
    is_json: bool,
}

impl ReadyRequest {
    /// A GET of this path, which begins with `/` and may have a query.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    /// A POST to this path, which begins with `/` and may have a query.
    #[must_use]
    pub fn post(path: impl Into<String>) -> Self {
        Self::new("POST", path)
    }

    /// A request with this method.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::ReadyRequest;
    ///
    /// let load = ReadyRequest::new("PUT", "/models/gemma/load");
    /// ```
    #[must_use]
    pub fn new(method: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            path: path.into(),
            body: None,
            statuses: None,
        }
    }

    /// Sends this text as JSON. It is sent as it is.
    #[must_use]
    pub fn json(self, json: impl Into<String>) -> Self {
        self.with_body(json.into(), true)
    }

    /// Sends this text, without a content type.
    #[must_use]
    pub fn body(self, body: impl Into<String>) -> Self {
        self.with_body(body.into(), false)
    }

    fn with_body(mut self, text: String, is_json: bool) -> Self {
        self.body = Some(Body { text, is_json });
        self
    }

    /// Adds statuses that mean ready, instead of any 2xx.
    #[must_use]
    pub fn status(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.statuses.get_or_insert_default().extend(statuses);
        self
    }

    /// What is sent, and what is expected; `None` if there is something wrong with it.
    pub(super) fn check(&self, refusals: &mut Refusals<'_>) -> Option<Checked> {
        let method = Method::from_bytes(self.method.as_bytes());
        if method.is_err() {
            refusals.add(
                "readyRequest.method",
                "is not a method of HTTP: write GET or POST",
            );
        }
        let path = PathAndQuery::try_from(self.path.as_str());
        let path = path.ok().filter(|_| self.path.starts_with('/'));
        if path.is_none() {
            refusals.add(
                "readyRequest.path",
                "is no path: write one that begins with `/`, such as /v1/completions; it belongs to the origin of \
                 the base URL",
            );
        }
        let statuses = health::statuses("readyRequest.status", self.statuses.as_deref(), refusals);
        let mut headers = HeaderMap::new();
        let body = self.body.clone();
        if body.as_ref().is_some_and(|it| it.is_json) {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Some(Checked {
            method: method.ok()?,
            path: path?,
            headers,
            body: body.map(|it| it.text).unwrap_or_default(),
            statuses,
        })
    }
}

pub(super) struct Checked {
    pub(super) method: Method,
    pub(super) path: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) statuses: Option<Vec<u16>>,
}

impl fmt::Debug for ReadyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next();
        f.debug_struct("ReadyRequest")
            .field("method", &self.method)
            .field("path", &path.unwrap_or_default())
            .field("has_body", &self.body.is_some())
            .field("statuses", &self.statuses)
            .finish()
    }
}
