//! The layer that wraps a client.

use tower_layer::Layer;

use super::service::EnsureLocalService;
use crate::service::LocalService;

/// Makes sure that the local server a request is for runs, before it sends the request.
///
/// It wraps every client that is a `Service<Req> + Clone` and whose response [can hold a
/// lease](crate::HoldLease). The chapters [lifecycle](crate::docs::lifecycle) and
/// [layer order](crate::docs::layer_order) say what happens step by step, and where to put it among other layers.
///
/// The state is in the [`LocalService`]: you may make and clone layers, and the services that they make, at
/// will.
///
/// # Examples
///
/// One server behind a client of reqwest (feature `reqwest`):
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// use tower::{BoxError, Layer, ServiceExt};
/// use tower_local_service::{EnsureLocalServiceLayer, LocalService};
///
/// async fn models(llama: LocalService) -> Result<String, BoxError> {
///     let http = reqwest::Client::new();
///     let client = EnsureLocalServiceLayer::new(llama).layer(http.clone());
///
///     let request = http.get("http://127.0.0.1:8080/v1/models").build()?;
///     Ok(client.oneshot(request).await?.text().await?)
/// }
/// # }
/// ```
///
/// Two servers behind one client, chosen by a header:
///
/// ```
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
/// use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService};
///
/// fn layered(chat: LocalService, images: LocalService) {
///     let client = service_fn(|_: Request<String>| async {
///         Ok::<_, BoxError>(Response::new(String::new()))
///     });
///     let choose = move |request: &Request<String>| {
///         match request.headers().get("x-server")?.as_bytes() {
///             b"chat" => Some(chat.clone()),
///             b"images" => Some(images.clone()),
///             _ => None, // passes through
///         }
///     };
///     let client = ServiceBuilder::new()
///         .layer(EnsureLocalServiceLayer::new(choose))
///         .service(client);
/// #   drop(client);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct EnsureLocalServiceLayer<R = LocalService> {
    resolver: R,
    /// The service that `poll_ready` starts, with `EnsureOn::PollReady`.
    preload: Option<LocalService>,
}

/// When the layer asks for the start of the server.
/// # Example
///
/// ```
/// use tower_local_service::{EnsureLocalServiceLayer, EnsureOn, LocalService};
///
/// fn layer(llama: LocalService) -> EnsureLocalServiceLayer {
///     EnsureLocalServiceLayer::new(llama).ensure_on(EnsureOn::PollReady)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnsureOn {
    /// When the response future is first polled: nothing is started for a client that gets no request,
    /// and nothing of the wrapped client is held during a cold start.
    #[default]
    Call,
    /// In `poll_ready`, for `LoadShed`, `Balance`, and callers that want back-pressure: the client is
    /// not ready until the server is. A caller that asks for readiness starts the server, whether or not
    /// a request follows: `Balance` starts the server of every client that it has.
    ///
    /// `poll_ready` takes no lease: if the server is gone again when the request comes, the response
    /// future starts it again. A start that fails is the error of the next response, never one of
    /// readiness.
    PollReady,
}

impl<R> EnsureLocalServiceLayer<R> {
    /// A layer for the service that the resolver names:
    ///
    /// - a [`LocalService`]: requests for the origin of its base URL, all others pass through,
    /// - [`LocalService::every_request`]: every request, also of a type that has no URL,
    /// - a [`Providers`](crate::provider::Providers): requests for the base URLs of a configuration file,
    /// - any `Fn(&Req) -> Option<LocalService>`.
    pub const fn new(resolver: R) -> Self {
        Self {
            resolver,
            preload: None,
        }
    }
}

impl<R: AsRef<LocalService>> EnsureLocalServiceLayer<R> {
    /// When the layer asks for the start. Only for a resolver of one service, since `poll_ready` sees no
    /// request. Default: [`EnsureOn::Call`].
    #[must_use]
    pub fn ensure_on(mut self, ensure_on: EnsureOn) -> Self {
        self.preload = match ensure_on {
            EnsureOn::Call => None,
            EnsureOn::PollReady => Some(self.resolver.as_ref().clone()),
        };
        self
    }
}

impl<R> EnsureLocalService<(), R> {
    /// The layer that makes such clients, as [`EnsureLocalServiceLayer::new`].
    ///
    /// # Example
    ///
    /// ```
    /// use tower::Layer;
    /// use tower_local_service::{EnsureLocalService, LocalService};
    ///
    /// fn layered<S>(service: LocalService, client: S) -> EnsureLocalService<S> {
    ///     EnsureLocalService::layer(service).layer(client)
    /// }
    /// ```
    pub const fn layer(resolver: R) -> EnsureLocalServiceLayer<R> {
        EnsureLocalServiceLayer::new(resolver)
    }
}

impl<S, R: Clone> Layer<S> for EnsureLocalServiceLayer<R> {
    type Service = EnsureLocalService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        EnsureLocalService::with_preload(inner, self.resolver.clone(), self.preload.clone())
    }
}
