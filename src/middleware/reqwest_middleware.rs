//! The adapter for reqwest-middleware, whose chain of middleware is no Tower service.

use std::{
    error, fmt,
    future::{self, Future},
    pin::Pin,
    task::{Context, Poll},
};

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use tower_service::Service;

use super::{future::ResponseFuture, resolve::Resolve};
use crate::error::{BoxError, Error};

/// Makes sure that the local server a request is for runs, as one of the middleware of a
/// [`ClientWithMiddleware`](reqwest_middleware::ClientWithMiddleware).
///
/// It does what [`EnsureLocalServiceLayer`](crate::EnsureLocalServiceLayer) does around a Tower
/// service. A request for which the resolver has no service passes through, untouched.
///
/// An error of the rest of the chain comes through unchanged. An [`Error`] of this crate comes as a
/// [`reqwest_middleware::Error::Middleware`]; [`Error::find_in`] finds it in there, whatever other
/// middleware has wrapped around it.
///
/// # With reqwest-retry
///
/// Put its `RetryTransientMiddleware` outside, that is, before this one: then each try makes sure
/// again that the server runs. By default it takes an error of a middleware for final, so a start that
/// failed is not tried again. A strategy that does try again finds in
/// [`retry_after`](Error::retry_after) how long to wait before.
///
/// # Example
///
/// ```
/// use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
/// use tower_local_service::{EnsureLocalServiceMiddleware, LocalService};
///
/// fn client(service: &LocalService) -> ClientWithMiddleware {
///     ClientBuilder::new(reqwest::Client::new())
///         .with(EnsureLocalServiceMiddleware::new(service.clone()))
///         .build()
/// }
/// ```
#[derive(Clone, Debug)]
pub struct EnsureLocalServiceMiddleware<R> {
    resolver: R,
}

impl<R> EnsureLocalServiceMiddleware<R> {
    /// Middleware for the service that the resolver names; the same resolvers as those of
    /// [`EnsureLocalServiceLayer::new`](crate::EnsureLocalServiceLayer::new).
    pub const fn new(resolver: R) -> Self {
        Self { resolver }
    }
}

#[async_trait::async_trait]
impl<R> Middleware for EnsureLocalServiceMiddleware<R>
where
    R: Resolve<Request> + Send + Sync + 'static,
{
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let Some(service) = self.resolver.resolve(&request) else {
            return next.run(request, extensions).await;
        };
        let rest = Rest(Some((next, extensions)));
        let response = ResponseFuture::new(Some(service), rest, request).await;
        response.map_err(in_chain)
    }
}

type Responding<'a> =
    Pin<Box<dyn Future<Output = reqwest_middleware::Result<Response>> + Send + 'a>>;

/// The rest of the chain, as a client that the response future calls once.
struct Rest<'a>(Option<(Next<'a>, &'a mut Extensions)>);

impl<'a> Service<Request> for Rest<'a> {
    type Response = Response;
    type Error = reqwest_middleware::Error;
    type Future = Responding<'a>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.0.take() {
            Some((next, extensions)) => next.run(request, extensions),
            None => Box::pin(future::pending()),
        }
    }
}

/// The error of the chain, or that of this crate as an error of a middleware.
fn in_chain(error: BoxError) -> reqwest_middleware::Error {
    let error = match error.downcast::<Error>() {
        // A retry decides by the type of the client's error, so it comes through without what the server died of.
        Ok(of_the_crate) => of_the_crate.into_client().unwrap_or_else(Into::into),
        Err(other) => other,
    };
    match error.downcast() {
        Ok(of_the_chain) => *of_the_chain,
        Err(other) => reqwest_middleware::Error::middleware(NotServed(other)),
    }
}

/// Has the error of this crate for its source.
///
/// An error of the chain has for its source the source of the error that it holds. So the held error would
/// not be found among the sources, and this one is wrapped around it.
#[derive(Debug)]
struct NotServed(BoxError);

impl fmt::Display for NotServed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Error::find_in(&*self.0) {
            Some(error) => write!(f, "local service `{}` did not serve", error.service()),
            None => f.write_str("the local service did not serve"),
        }
    }
}

impl error::Error for NotServed {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}
