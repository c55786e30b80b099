//! Sends a request again whose server has gone.
//!
//! Feature `retry`. The layer itself never sends a request twice: it cannot know what that would do.
//! [`ServerGone`] does, for programs that want it.

use std::{error, future, io, iter};

use http::{HeaderMap, Method, header::HeaderName};
use tower::retry::Policy;

use super::resolve::Resolve;
use crate::{
    error::{BoxError, Error, inside},
    service::LocalService,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A policy for Tower's `Retry`, outside of
/// [`EnsureLocalServiceLayer`](crate::EnsureLocalServiceLayer): one more try for a request whose server
/// died before it answered.
///
/// A request is sent once more if all of this is so:
///
/// - The first try failed before a response head. A response that breaks off is not repeated.
/// - The server is gone: the instance that ran when the request came is over, its process has ended, or the
///   port of its health URL refuses connections.
/// - Nothing was sent (there is a refused connection among the sources of the error), or the method is
///   idempotent (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), or the request has an `Idempotency-Key`.
/// - The request can be cloned: a streamed body of reqwest cannot.
///
/// Never after a start that failed, or where the service was stopped: a moment later that is no better. The
/// second try starts the server again, like any request.
///
/// Tower has a policy decide immediately, so the policy asks the system whether the server is gone, and does
/// not wait: a server that hangs is not gone, and of a server on another machine it only knows whether the
/// instance is over.
///
/// # Example
///
/// ```
/// use http::{Request, Response};
/// use tower::{Layer, ServiceBuilder, service_fn};
/// use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService, retry::ServerGone};
///
/// fn resending(service: &LocalService) {
///     let client = service_fn(|_: Request<String>| async {
///         Ok::<_, BoxError>(Response::new(String::new()))
///     });
///     let client = ServiceBuilder::new()
///         .retry(ServerGone::new(service.clone()))
///         .layer(EnsureLocalServiceLayer::new(service.clone()))
///         .service(client);
/// #   drop(client);
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ServerGone<R = LocalService> {
    resolver: R,
    tries: Tries,
}

/// How often the request of this policy, or of this clone of it, was sent.
#[derive(Clone, Copy, Debug)]
enum Tries {
    None,
    /// When this was the instance.
    One {
        instance: u64,
    },
    Two,
}

impl<R> ServerGone<R> {
    /// For requests to the service that the resolver names: give it the resolver of the layer inside. A
    /// request without a service is never sent again.
    pub const fn new(resolver: R) -> Self {
        Self {
            resolver,
            tries: Tries::None,
        }
    }

    /// Before each try. `Retry` clones the policy for each request after this, so the clone knows the
    /// instance.
    fn keeps<Req>(&mut self, request: &Req) -> bool
    where
        R: Resolve<Req>,
    {
        if let Tries::Two = self.tries {
            return false;
        }
        let service = self.resolver.resolve(request);
        self.tries = service.as_ref().map_or(Tries::None, |service| Tries::One {
            instance: service.next_instance(),
        });
        service.is_some()
    }

    /// After the first try, with the clone that is to be sent.
    fn sends_again<Req>(&mut self, request: &Req, may_repeat: bool, error: &BoxError) -> bool
    where
        R: Resolve<Req>,
    {
        let Tries::One { instance } = self.tries else {
            return false;
        };
        self.tries = Tries::Two;
        // The cheapest first.
        Error::find_in(&**error).is_none_or(Error::is_cut_off)
            && may_repeat
            && self
                .resolver
                .resolve(request)
                .is_some_and(|service| service.has_lost(instance))
    }
}

impl<R, B, Res> Policy<http::Request<B>, Res, BoxError> for ServerGone<R>
where
    R: Resolve<http::Request<B>>,
    B: Clone,
{
    type Future = future::Ready<()>;

    fn retry(
        &mut self,
        request: &mut http::Request<B>,
        result: &mut Result<Res, BoxError>,
    ) -> Option<Self::Future> {
        let error = result.as_ref().err()?;
        let may_repeat = is_repeatable(request.method(), request.headers()) || is_refused(error);
        self.sends_again(request, may_repeat, error)
            .then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &http::Request<B>) -> Option<http::Request<B>> {
        self.keeps(request).then(|| request.clone())
    }
}

#[cfg(feature = "reqwest")]
impl<R, Res> Policy<reqwest::Request, Res, BoxError> for ServerGone<R>
where
    R: Resolve<reqwest::Request>,
{
    type Future = future::Ready<()>;

    fn retry(
        &mut self,
        request: &mut reqwest::Request,
        result: &mut Result<Res, BoxError>,
    ) -> Option<Self::Future> {
        let error = result.as_ref().err()?;
        // After a redirect, another server refused than the one that the request was sent to.
        let was_sent = sources(error)
            .filter_map(|error| error.downcast_ref::<reqwest::Error>()?.url())
            .any(|url| url != request.url());
        let may_repeat =
            is_repeatable(request.method(), request.headers()) || (is_refused(error) && !was_sent);
        self.sends_again(request, may_repeat, error)
            .then(|| future::ready(()))
    }

    fn clone_request(&mut self, request: &reqwest::Request) -> Option<reqwest::Request> {
        self.keeps(request).then(|| request.try_clone()).flatten()
    }
}

/// Whether it may be done twice.
fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.contains_key(IDEMPOTENCY_KEY)
}

/// Whether nothing was sent, because the connection was refused.
fn is_refused(error: &BoxError) -> bool {
    sources(error).any(|error| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
}

/// The error and its sources.
fn sources(error: &BoxError) -> impl Iterator<Item = &(dyn error::Error + 'static)> {
    iter::successors(Some(&**error as &(dyn error::Error + 'static)), |&error| {
        inside(error)
    })
}
