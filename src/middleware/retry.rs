//! Sends a request again whose server has gone.
//!
//! Feature `retry`. The crate itself never sends anything twice: a layer cannot know what else it would
//! do to a request. [`ServerGone`] is for those who want it.

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
/// - The server is gone: the service has lost the run that it had when the request came, its process
///   has ended, or its health URL's port refuses connections.
/// - Nothing was sent (there is a refused connection among the sources of the error), or the method is
///   idempotent (GET, HEAD, OPTIONS, TRACE, PUT, DELETE), or the request has an `Idempotency-Key`.
/// - The request can be cloned: a streamed body of reqwest cannot.
///
/// Never after a start that failed, or where somebody stopped the service: that is not better a moment
/// later. The second try starts the server again, like any request.
///
/// Tower has a policy decide at once, so whether the server is gone is asked of the system without
/// waiting: a server that hangs is not gone, and of one that is not on this machine only a lost run is
/// known.
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

/// How far the request has come that the policy, or this clone of it, is about.
#[derive(Clone, Copy, Debug)]
enum Tries {
    None,
    /// Sent while this was the run.
    One {
        run: u64,
    },
    Two,
}

impl<R> ServerGone<R> {
    /// For requests to the service that the resolver names: the same as that of the layer inside. A
    /// request with no service is never sent again.
    pub const fn new(resolver: R) -> Self {
        Self {
            resolver,
            tries: Tries::None,
        }
    }

    /// Before each try. `Retry` clones the policy for each request after this, so the clone knows the
    /// run.
    fn keeps<Req>(&mut self, request: &Req) -> bool
    where
        R: Resolve<Req>,
    {
        if let Tries::Two = self.tries {
            return false;
        }
        let service = self.resolver.resolve(request);
        self.tries = service.as_ref().map_or(Tries::None, |service| Tries::One {
            run: service.next_instance(),
        });
        service.is_some()
    }

    /// After the first try, with the clone that is to be sent.
    fn sends_again<Req>(&mut self, request: &Req, may_repeat: bool, error: &BoxError) -> bool
    where
        R: Resolve<Req>,
    {
        let Tries::One { run } = self.tries else {
            return false;
        };
        self.tries = Tries::Two;
        // What costs least comes first.
        Error::find_in(&**error).is_none_or(Error::is_cut_off)
            && may_repeat
            && self
                .resolver
                .resolve(request)
                .is_some_and(|service| service.has_lost(run))
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
        // Where it was redirected, the server that refused is another than the one that it was sent to.
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

/// Whether to do it twice is the same as to do it once.
fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.contains_key(IDEMPOTENCY_KEY)
}

/// Whether nothing was sent, as nobody listened.
fn is_refused(error: &BoxError) -> bool {
    sources(error).any(|error| {
        error
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    })
}

/// The error and all inside of it.
fn sources(error: &BoxError) -> impl Iterator<Item = &(dyn error::Error + 'static)> {
    iter::successors(Some(&**error as &(dyn error::Error + 'static)), |&error| {
        inside(error)
    })
}
