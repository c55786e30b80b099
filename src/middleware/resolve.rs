//! Which service a request is for.

use http::Uri;

use crate::{config::same_origin, service::LocalService};

/// Says which service a request is for.
///
/// Implemented by
///
/// - [`LocalService`]: the requests for the origin of its base URL,
/// - [`EveryRequest`], which [`LocalService::every_request`] returns: every request,
/// - [`Providers`](crate::provider::Providers): the requests for the base URLs of a configuration file,
/// - every `Fn(&Req) -> Option<LocalService>`.
///
/// The middleware calls it once for each request, before it sends the request. It should be quick,
/// because it keeps the calling thread.
/// # Example
///
/// A closure for one layer, and a type of your own for many:
///
/// ```
/// use http::Request;
/// use tower_local_service::{EnsureLocalServiceLayer, LocalService, Resolve};
///
/// fn by_path(chat: LocalService, images: LocalService) -> impl Resolve<Request<String>> {
///     move |request: &Request<String>| match request.uri().path() {
///         "/v1/images/generations" => Some(images.clone()),
///         _ => Some(chat.clone()),
///     }
/// }
///
/// #[derive(Clone, Debug)]
/// struct Models(std::collections::HashMap<String, LocalService>);
///
/// impl<B> Resolve<Request<B>> for Models {
///     fn resolve(&self, request: &Request<B>) -> Option<LocalService> {
///         let model = request.headers().get("x-model")?.to_str().ok()?;
///         self.0.get(model).cloned()
///     }
/// }
///
/// fn layer(models: Models) -> EnsureLocalServiceLayer<Models> {
///     EnsureLocalServiceLayer::new(models)
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say which local service a request of type `{Req}` is for",
    label = "no resolver for requests of type `{Req}`",
    note = "a `LocalService` reads the URL of an `http::Request`, and of a `reqwest::Request` of reqwest 0.13 if the feature `reqwest` of `tower-local-service` is on",
    note = "for a request type without a URL, use `service.every_request()`: each request is then for that service",
    note = "a closure takes the request by reference, and says so: `|request: &Request<_>| -> Option<LocalService> {{ .. }}`"
)]
pub trait Resolve<Req> {
    /// The service that has to run for the request. `None`: the request passes through, untouched.
    fn resolve(&self, request: &Req) -> Option<LocalService>;
}

// Otherwise the compiler says of every other resolver that it is no closure.
#[diagnostic::do_not_recommend]
impl<F, Req> Resolve<Req> for F
where
    F: Fn(&Req) -> Option<LocalService>,
{
    fn resolve(&self, request: &Req) -> Option<LocalService> {
        self(request)
    }
}

/// Requests for the scheme, host and port of the base URL, where `localhost`, the loopback addresses and
/// the unspecified addresses are one host. Requests for other origins pass through, so that one client
/// can talk to local and remote servers.
impl<B> Resolve<http::Request<B>> for LocalService {
    fn resolve(&self, request: &http::Request<B>) -> Option<LocalService> {
        self.if_its_origin(request.uri())
    }
}

/// Resolves to one service, whatever the request.
///
/// Made by [`LocalService::every_request`], whose documentation has an example.
#[derive(Clone, Debug)]
pub struct EveryRequest {
    service: LocalService,
}

impl<Req> Resolve<Req> for EveryRequest {
    fn resolve(&self, _request: &Req) -> Option<LocalService> {
        Some(self.service.clone())
    }
}

/// The one service of this resolver.
impl AsRef<LocalService> for EveryRequest {
    fn as_ref(&self) -> &LocalService {
        &self.service
    }
}

/// The one service of this resolver.
impl AsRef<Self> for LocalService {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl LocalService {
    /// A resolver that has every request wait for this service, whatever its URL: for requests of a type
    /// without a URL, and for a client of which every request goes to this server.
    ///
    /// The service itself is the resolver for the requests to its origin. Prefer it wherever requests have
    /// a URL: a client that also talks to other servers then starts nothing for those.
    ///
    /// # Example
    ///
    /// ```
    /// use http::Response;
    /// use tower::{Layer, service_fn};
    /// use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService};
    ///
    /// fn layered(service: &LocalService) {
    ///     // A client whose requests are questions, and no HTTP requests.
    ///     let client = service_fn(|question: String| async {
    ///         Ok::<_, BoxError>(Response::new(question))
    ///     });
    ///     let client = EnsureLocalServiceLayer::new(service.every_request()).layer(client);
    /// #   drop(client);
    /// }
    /// ```
    #[must_use]
    pub fn every_request(&self) -> EveryRequest {
        EveryRequest {
            service: self.clone(),
        }
    }

    pub(super) fn if_its_origin(&self, uri: &Uri) -> Option<Self> {
        let base = &self.settings().base;
        // Most requests spell it as the base URL does: then no address has to be parsed.
        let is_spelled_alike = base.scheme() == uri.scheme() && base.authority() == uri.authority();
        (is_spelled_alike || same_origin(base, uri)).then(|| self.clone())
    }
}
