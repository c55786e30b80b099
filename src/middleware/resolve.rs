//! Which service a request is for.

use http::Uri;

use crate::{config::same_origin, service::LocalService};

/// Says which service a request is for.
///
/// Implemented by [`LocalService`] (every request is for it), by what
/// [`for_its_origin`](LocalService::for_its_origin) returns, by
/// [`Providers`](crate::provider::Providers), and by every `Fn(&Req) -> Option<LocalService>`.
///
/// It is asked once for each request, before that is sent, and should be quick: the next request on
/// the same thread waits for it.
pub trait Resolve<Req> {
    /// The service that has to run for the request; `None` passes it through, untouched.
    fn resolve(&self, request: &Req) -> Option<LocalService>;
}

impl<Req> Resolve<Req> for LocalService {
    fn resolve(&self, _request: &Req) -> Option<LocalService> {
        Some(self.clone())
    }
}

impl<F, Req> Resolve<Req> for F
where
    F: Fn(&Req) -> Option<LocalService>,
{
    fn resolve(&self, request: &Req) -> Option<LocalService> {
        self(request)
    }
}

/// Resolves to a service for requests to the origin of its base URL; others pass through.
///
/// Made by [`LocalService::for_its_origin`].
#[derive(Clone, Debug)]
pub struct ForItsOrigin {
    service: LocalService,
}

impl ForItsOrigin {
    pub(crate) fn resolve_uri(&self, uri: &Uri) -> Option<LocalService> {
        same_origin(&self.service.settings().base, uri).then(|| self.service.clone())
    }
}

impl<B> Resolve<http::Request<B>> for ForItsOrigin {
    fn resolve(&self, request: &http::Request<B>) -> Option<LocalService> {
        self.resolve_uri(request.uri())
    }
}

impl LocalService {
    /// As a resolver: for requests to the scheme, host and port of the base URL, where the loopback
    /// addresses and `localhost` are one host. Requests to other origins pass through, so that one
    /// client can serve local and remote servers.
    #[must_use]
    pub fn for_its_origin(&self) -> ForItsOrigin {
        ForItsOrigin {
            service: self.clone(),
        }
    }
}
