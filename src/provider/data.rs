//! A provider with its values filled in.

use std::{fmt, time::Duration};

use http::{HeaderMap, Uri};

use crate::{config::shown_url, error::Error, service::LocalService};

/// One provider of models: an API somewhere, with or without a local server behind it.
///
/// `Debug` shows neither the key nor a value of a header.
/// # Example
///
/// What a request to a model of a file needs:
///
/// ```
/// use http::Request;
/// use tower_local_service::provider::Providers;
///
/// fn request(providers: &Providers, model: &str) -> Option<http::Result<Request<()>>> {
///     let (provider, model) = providers.resolve_model(model)?;
///     let mut request = Request::post(format!("{}/chat/completions", provider.base_url));
///     request.headers_mut()?.extend(provider.headers.clone());
///     if let Some(key) = &provider.api_key {
///         request = request.header("authorization", format!("Bearer {key}"));
///     }
///     # let _ = model;
///     Some(request.body(()))
/// }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Provider {
    /// Its key in `models.providers`.
    pub id: String,
    /// Where its API begins, such as `http://127.0.0.1:8080/v1`.
    pub base_url: Uri,
    /// The key that requests to it need: `apiKey`, or the token of `request.auth`. The layer does not send
    /// it: set it in your requests.
    pub api_key: Option<String>,
    /// The name of its API, such as `openai-completions`, as it is written.
    pub api: Option<String>,
    /// How long a response may take to its head, a cold start included, and then each gap in its
    /// body: `timeoutSeconds`, or else the service's `readyTimeoutMs` and two minutes. The layer has
    /// no deadline: set it around your requests.
    pub timeout: Duration,
    /// Headers that each request to it needs: `headers`, `request.headers` and the header of
    /// `request.auth`. The layer adds none: set them in your requests.
    pub headers: HeaderMap,
    /// The models that the file lists. It may serve others.
    pub models: Vec<Model>,
    /// The local server, if it has a `localService`. Of an unavailable provider, one that fails with the
    /// same error whenever it is asked for.
    pub service: Option<LocalService>,
    /// Why it cannot be used: a variable, a key or a header that cannot be found out. Its base URL may
    /// be one that leads nowhere, its key and headers may be missing.
    pub unavailable: Option<Error>,
}

/// A model that a provider lists.
///
/// Where it has a URL, an API or headers of its own,
/// [`resolve_model`](super::Providers::resolve_model) puts them into the provider that it returns.
/// `Debug` shows no value of a header.
/// # Example
///
/// ```
/// use tower_local_service::provider::Provider;
///
/// fn menu(provider: &Provider) -> Vec<String> {
///     let shown = |model: &tower_local_service::provider::Model| {
///         let name = model.name.as_ref().unwrap_or(&model.id);
///         format!("{}/{}: {name}", provider.id, model.id)
///     };
///     provider.models.iter().map(shown).collect()
/// }
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Model {
    /// Its name in requests.
    pub id: String,
    /// Its name for people.
    pub name: Option<String>,
    /// Where its API begins, if that is elsewhere than that of its provider.
    pub base_url: Option<Uri>,
    /// The name of its API, if that is another one than that of its provider.
    pub api: Option<String>,
    /// Headers that requests to it need, beyond those of its provider.
    pub headers: HeaderMap,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base_url = self.base_url.as_ref();
        f.debug_struct("Model")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("base_url", &base_url.map(|it| shown_url(&it.to_string())))
            .field("api", &self.api)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .finish()
    }
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
            .field("unavailable", &self.unavailable)
            .finish()
    }
}

/// What a [`reload`](super::Providers::reload) did, by the ids of the providers; each list is sorted.
/// # Example
///
/// ```
/// use tower_local_service::provider::{Changes, Providers, ProvidersConfig};
///
/// fn reload(providers: &Providers, config: ProvidersConfig) {
///     match providers.reload(config) {
///         Ok(Changes { changed, removed, .. }) => println!("drained: {changed:?} {removed:?}"),
///         Err(error) => eprintln!("{error:#}"), // the providers stay as they were
///     }
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Providers that were not there before.
    pub added: Vec<String>,
    /// Providers of which anything has changed, even if only the value of a variable.
    pub changed: Vec<String>,
    /// Providers that are gone.
    pub removed: Vec<String>,
    /// Providers that are as before. Their services keep running.
    pub kept: Vec<String>,
}
