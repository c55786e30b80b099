//! The layer that wraps a client.

use tower_layer::Layer;

use super::service::EnsureLocalService;
use crate::service::LocalService;

/// Makes sure that the local server a request is for runs, before the request is sent.
///
/// It wraps every client that is a `Service<Req> + Clone` and whose response [can hold a
/// lease](crate::HoldLease). See the [crate's documentation](crate) for what happens step by step, and
/// for where to put it among other layers.
///
/// All that it starts and counts is in the [`LocalService`]: layers and their services may be made and
/// cloned at will.
///
/// # Example
///
/// Two servers behind one client, told apart by a header:
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
    /// What `poll_ready` starts, with `EnsureOn::PollReady`.
    preload: Option<LocalService>,
}

/// When the start of the server is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnsureOn {
    /// When the response future is first polled: nothing is started for a service that gets no
    /// request, and nothing of the wrapped client is held during a cold start.
    #[default]
    Call,
    /// In `poll_ready`, for `LoadShed`, `Balance`, and callers who want back-pressure: the service is
    /// not ready until the server is. Whoever asks for readiness starts the server, whether or not a
    /// request follows: `Balance` starts every endpoint that it has.
    ///
    /// No lease is taken by that: if the server is gone again when the request comes, the response
    /// future starts it anew. A start that fails is the error of the next response, never one of
    /// readiness.
    PollReady,
}

impl<R> EnsureLocalServiceLayer<R> {
    /// A layer for the service that the resolver names: a [`LocalService`] for every request,
    /// [`LocalService::for_its_origin`] for those to its base URL, or any
    /// `Fn(&Req) -> Option<LocalService>`.
    pub const fn new(resolver: R) -> Self {
        Self {
            resolver,
            preload: None,
        }
    }
}

impl EnsureLocalServiceLayer<LocalService> {
    /// When the start is asked for. Only for a layer with one service, since `poll_ready` sees no
    /// request. Default: [`EnsureOn::Call`].
    #[must_use]
    pub fn ensure_on(mut self, ensure_on: EnsureOn) -> Self {
        self.preload = match ensure_on {
            EnsureOn::Call => None,
            EnsureOn::PollReady => Some(self.resolver.clone()),
        };
        self
    }
}

impl<S, R: Clone> Layer<S> for EnsureLocalServiceLayer<R> {
    type Service = EnsureLocalService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        EnsureLocalService::new(inner, self.resolver.clone(), self.preload.clone())
    }
}
