//! What a provider is, once all of it is known.

use std::{fmt, time::Duration};

use http::{HeaderMap, Uri};

pub use super::file::Model;
use crate::{config::shown_url, service::LocalService};

/// One provider of models: an API somewhere, with or without a local server behind it.
///
/// `Debug` shows neither the key nor a value of a header.
#[derive(Clone)]
#[non_exhaustive]
pub struct Provider {
    /// Its key in `models.providers`.
    pub id: String,
    /// Where its API begins, such as `http://127.0.0.1:8080/v1`.
    pub base_url: Uri,
    /// What requests to it authorize themselves with. The layer does not: whoever sends them does.
    pub api_key: Option<String>,
    /// The dialect it speaks, such as `openai-completions`; as it is written.
    pub api: Option<String>,
    /// How long a response may take to its head, a cold start included, and then each gap in its
    /// body: `timeoutSeconds`, or else the service's `readyTimeoutMs` and two minutes. Applied by
    /// whoever sends the request; the layer has no deadline.
    pub timeout: Duration,
    /// For each request to it. The layer adds none.
    pub headers: HeaderMap,
    /// The models that it lists. It may serve others.
    pub models: Vec<Model>,
    /// The server that has to run, if it has a `localService`.
    pub service: Option<LocalService>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("id", &self.id)
            .field("base_url", &shown_url(&self.base_url.to_string()))
            .field("api_key", &self.api_key.as_ref().map(|_| "[redacted]"))
            .field("api", &self.api)
            .field("timeout", &self.timeout)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("models", &self.models)
            .field("service", &self.service)
            .finish()
    }
}

/// What a [`reload`](super::Providers::reload) did, by the ids of the providers; each list is sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Those that were not there before.
    pub added: Vec<String>,
    /// Those of which anything is another than before, be it the value of a variable.
    pub changed: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
    /// The others. Their services go on undisturbed.
    pub kept: Vec<String>,
}
