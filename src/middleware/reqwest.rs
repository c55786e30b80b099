//! The adapter for reqwest, whose request and response are types of their own.

use reqwest::{Body, Request, Response, ResponseBuilderExt};

use super::{
    resolve::Resolve,
    response::{HoldLease, sealed::Sealed},
};
use crate::service::{Lease, LocalService};

impl Sealed for Response {}

impl HoldLease for Response {
    type Held = Self;

    fn hold(self, lease: Option<Lease>) -> Self {
        // Without a lease there is nothing to put in.
        if lease.is_none() {
            return self;
        }
        // The conversion to `http::Response` loses the URL; only its builder takes one.
        let url = self.url().clone();
        let response = http::Response::<Body>::from(self).hold(lease);
        let (mut head, body) = response.map(Body::wrap).into_parts();
        let mut builder = http::Response::builder();
        if let Some(extensions) = builder.extensions_mut() {
            // There is room in them, which spares us a map of our own.
            *extensions = std::mem::take(&mut head.extensions);
        }
        if let Ok(with_url) = builder.url(url).body(()) {
            head.extensions = with_url.into_parts().0.extensions;
        }
        http::Response::from_parts(head, body).into()
    }
}

/// As for the requests of the crate `http`, by scheme, host and port.
impl Resolve<Request> for LocalService {
    fn resolve(&self, request: &Request) -> Option<LocalService> {
        self.if_its_origin(&request.url().as_str().parse().ok()?)
    }
}
