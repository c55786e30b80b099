//! What a probe asks for, and which statuses mean ready.

use std::{fmt, time::Duration};

use http::{HeaderMap, Method, Uri};

use super::{UrlHost, address};

/// One request to the server: a GET of the health URL, or the ready request.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) host: UrlHost,
    pub(crate) port: u16,
    /// As written in the URL, for the `Host` header: `localhost:8080`.
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// Whether the `Authorization` in the headers is that of the provider, as its requests have it.
    pub(crate) sends_key: bool,
    /// `None`: any 2xx.
    pub(crate) ready_statuses: Option<Vec<u16>>,
    /// It is that of the default health URL: a list of models.
    pub(crate) is_default: bool,
    /// Where requests go, if that is another address of this machine.
    pub(crate) base: Option<(UrlHost, u16)>,
    /// An answer is one only when its body has come to its end, or to its first 64 KiB.
    pub(crate) wants_body: bool,
    /// From the connect to the end of the response.
    pub(crate) timeout: Duration,
}

impl Target {
    /// A GET of this URL, without headers; `None` if it names no host and port.
    pub(crate) fn new(url: &Uri, timeout: Duration) -> Option<Self> {
        let path_and_query = url.path_and_query().map_or("/", |it| it.as_str());
        Some(Self {
            host: UrlHost::parse(url.host()?)?,
            port: address::port(url)?,
            authority: url.authority()?.to_string(),
            // `http://localhost?q` has a query and no path.
            path_and_query: if path_and_query.starts_with('/') {
                path_and_query.to_owned()
            } else {
                format!("/{path_and_query}")
            },
            method: Method::GET,
            headers: HeaderMap::new(),
            body: String::new(),
            sends_key: false,
            ready_statuses: None,
            is_default: false,
            wants_body: false,
            base: None,
            timeout,
        })
    }

    /// The URL as it may be shown: without its query, which may hold a key.
    pub(crate) fn shown(&self) -> String {
        let path = self.path_and_query.split('?').next().unwrap_or_default();
        format!("http://{}{path}", self.authority)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("url", &self.shown())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("ready_statuses", &self.ready_statuses)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
