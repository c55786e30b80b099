//! The service that the layer makes.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tower_service::Service;

use super::{future::ResponseFuture, resolve::Resolve, response::HoldLease};
use crate::{
    error::{BoxError, Error},
    service::LocalService,
};

/// A client that makes sure, for each request, that the local server the request is for runs.
///
/// Made by [`new`](Self::new), or by [`EnsureLocalServiceLayer`](crate::EnsureLocalServiceLayer). It clones the wrapped client for each
/// request, so a clone of that should be cheap: those of reqwest and hyper-util are. The response future
/// makes the clone ready, once the server runs; the original is never made ready.
///
/// Its error is [`BoxError`]: an [`Error`] of this crate, which [`Error::find_in`] finds, or the
/// client's own error, not wrapped.
///
/// # Example
///
/// *Clone it; `oneshot` consumes.* A clone is as cheap as one of the wrapped client. Or keep one client, make it
/// ready and call it:
///
/// ```
/// use http::{Request, Response};
/// use tower::{Service, ServiceExt, service_fn};
/// use tower_local_service::{BoxError, EnsureLocalService, LocalService};
///
/// async fn twice(llama: LocalService) -> Result<(), BoxError> {
///     let client = service_fn(|_: Request<String>| async {
///         Ok::<_, BoxError>(Response::new(String::new()))
///     });
///     let mut client = EnsureLocalService::new(client, llama);
///
///     let request = || Request::get("http://127.0.0.1:8080/v1/models").body(String::new());
///     let first = client.clone().oneshot(request()?).await?;
///     let second = client.ready().await?.call(request()?).await?;
///     # drop((first, second));
///     Ok(())
/// }
/// ```
///
/// # With anyhow
///
/// `?` does not take a [`BoxError`], and an [`anyhow::Error`] made of one with `from_boxed` or `anyhow!` no
/// longer has the type of the error. Convert the types that you ask for:
///
/// ```
/// use tower_local_service::{BoxError, Error};
/// # #[cfg(feature = "reqwest")]
/// # {
///
/// fn into_anyhow(error: BoxError) -> anyhow::Error {
///     let error = match error.downcast::<reqwest::Error>() {
///         Ok(of_the_client) => return (*of_the_client).into(),
///         Err(error) => error,
///     };
///     match error.downcast::<Error>() {
///         Ok(of_the_layer) => (*of_the_layer).into(),
///         Err(other) => anyhow::Error::from_boxed(other),
///     }
/// }
/// # fn a<S>(client: S, request: reqwest::Request)
/// # where
/// #     S: tower::Service<reqwest::Request, Response = reqwest::Response, Error = BoxError>,
/// # {
/// # use tower::ServiceExt;
/// # let _ = async {
///
/// let response = client.oneshot(request).await.map_err(into_anyhow)?;
/// # drop(response);
/// # anyhow::Ok(()) };
/// # }
/// # }
/// ```
///
/// Then `error.downcast_ref::<reqwest::Error>()` finds the client's own error, and
/// `error.downcast_ref::<tower_local_service::Error>()` that of this crate, also below `.context(..)`.
///
/// [`anyhow::Error`]: https://docs.rs/anyhow/1/anyhow/struct.Error.html
///
/// # Clients with other responses
///
/// The layer needs a response that [can hold a lease](crate::HoldLease). The response of reqwest 0.12
/// cannot, so convert it to an `http::Response` and back:
///
/// ```
/// # use reqwest_0_12 as reqwest;
/// use reqwest::{Body, Client, Request, Response, ResponseBuilderExt};
/// use tower::{Service, ServiceBuilder};
/// use tower_local_service::{
///     BoxError, EnsureLocalServiceLayer, LocalService, Resolve, body::LeasedBody,
/// };
///
/// fn client(
///     service: LocalService,
/// ) -> impl Service<Request, Response = Response, Error = BoxError> + Clone {
///     let its_origin = move |request: &Request| {
///         let request = http::Request::get(request.url().as_str()).body(()).ok()?;
///         service.resolve(&request)
///     };
///     ServiceBuilder::new()
///         .map_response(|response: http::Response<LeasedBody<Body>>| {
///             Response::from(response.map(Body::wrap))
///         })
///         .layer(EnsureLocalServiceLayer::new(its_origin))
///         .map_response(with_url)
///         .service(Client::new())
/// }
///
/// /// The conversion loses the URL, and only a builder takes one.
/// fn with_url(response: Response) -> http::Response<Body> {
///     let url = response.url().clone();
///     let mut response = http::Response::from(response);
///     if let Ok(holder) = http::Response::builder().url(url).body(()) {
///         let (head, ()) = holder.into_parts();
///         response.extensions_mut().extend(head.extensions);
///     }
///     response
/// }
/// ```
///
/// # If the compiler says that trait bounds were not satisfied
///
/// For a method such as `oneshot` the compiler does not say which bound is missing, or what to do about it.
/// It does where a type asks for the trait: have a function return the client as
/// `impl Service<YourRequest>`.
pub struct EnsureLocalService<S, R = LocalService> {
    inner: S,
    resolver: R,
    preload: Option<Preload>,
}

type Start = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + Sync>>;

/// What `poll_ready` waits for.
struct Preload {
    service: LocalService,
    start: Option<Start>,
    /// A failed start is an error of the next response, never one of readiness: many layers take an error
    /// of readiness for the end of the client.
    failed: Option<Error>,
}

impl<S, R> EnsureLocalService<S, R> {
    /// Wraps the client. [`EnsureLocalServiceLayer::new`](crate::EnsureLocalServiceLayer::new) lists the resolvers.
    pub const fn new(inner: S, resolver: R) -> Self {
        Self {
            inner,
            resolver,
            preload: None,
        }
    }

    pub(super) fn with_preload(inner: S, resolver: R, preload: Option<LocalService>) -> Self {
        Self {
            inner,
            resolver,
            preload: preload.map(Preload::new),
        }
    }

    /// The wrapped client.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The wrapped client.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The wrapped client.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl Preload {
    fn new(service: LocalService) -> Self {
        Self {
            service,
            start: None,
            failed: None,
        }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.failed.is_some() || self.service.is_ready() {
            return Poll::Ready(());
        }
        let service = &self.service;
        let start = self.start.get_or_insert_with(|| {
            let service = service.clone();
            Box::pin(async move { service.wait_until_ready().await })
        });
        let started = ready!(start.as_mut().poll(cx));
        self.start = None;
        self.failed = started.err();
        Poll::Ready(())
    }
}

impl<S, R, Req> Service<Req> for EnsureLocalService<S, R>
where
    S: Service<Req> + Clone,
    S::Response: HoldLease,
    S::Error: Into<BoxError>,
    R: Resolve<Req>,
{
    type Response = <S::Response as HoldLease>::Held;
    type Error = BoxError;
    type Future = ResponseFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // The response future makes the wrapped client ready, once the server runs. Doing it here would
        // hold whatever its readiness reserves throughout a cold start.
        if let Some(preload) = &mut self.preload {
            ready!(preload.poll_ready(cx));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let failed = self
            .preload
            .as_mut()
            .and_then(|preload| preload.failed.take());
        if let Some(error) = failed {
            return ResponseFuture::failed(error);
        }
        let service = self.resolver.resolve(&request);
        ResponseFuture::new(service, self.inner.clone(), request)
    }
}

impl<S: Clone, R: Clone> Clone for EnsureLocalService<S, R> {
    fn clone(&self) -> Self {
        // A clone waits for a start of its own.
        let preload = self.preload.as_ref().map(|preload| preload.service.clone());
        Self::with_preload(self.inner.clone(), self.resolver.clone(), preload)
    }
}

impl<S: fmt::Debug, R: fmt::Debug> fmt::Debug for EnsureLocalService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnsureLocalService")
            .field("inner", &self.inner)
            .field("resolver", &self.resolver)
            .finish_non_exhaustive()
    }
}
