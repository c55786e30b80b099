//! Keeps out the pages of other sites, which reach this address through the browser of its user.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    http::{Request, Response, header, uri::Authority},
    response::IntoResponse,
};
use tower_http::validate_request::ValidateRequest;

use crate::{failure::Failure, origins::Origins};

/// How much of an origin a message shows.
const SHOWN: usize = 100;

/// Refuses requests of pages, except for the allowed ones. Programs send no `Origin`.
// `tower_http::csrf` would let every GET pass; here no page may use anything.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    hosts: Arc<[String]>,
    origins: Origins,
}

impl Guard {
    pub(crate) fn new(hosts: &[String], origins: Origins) -> Self {
        Self {
            hosts: hosts.into(),
            origins,
        }
    }

    fn check<B>(&self, request: &Request<B>) -> Result<(), Failure> {
        let headers = request.headers();
        let named = headers.get(header::HOST);
        let named = named.map(|host| Authority::try_from(host.as_bytes()).ok());
        // Requests of HTTP/2 have it there, and instead of a header.
        let asked = request.uri().authority().cloned().map(Some);
        let mut hosts = named.into_iter().chain(asked).peekable();
        let is_named = hosts.peek().is_some();
        let is_ours = |host: Option<Authority>| host.is_some_and(|it| self.is_ours(it.host()));
        if !is_named || !hosts.all(is_ours) {
            return Err(Failure::forbidden(
                "the Host of this request does not name this gateway: use its address, or start it with \
                 --allow-host NAME",
            ));
        }
        match headers.get(header::ORIGIN) {
            Some(origin) if !self.origins.allow(origin) => {
                let origin = String::from_utf8_lossy(origin.as_bytes());
                let origin: String = origin.chars().take(SHOWN).collect();
                Err(Failure::forbidden(&format!(
                    "pages of the Origin {origin} may not use this gateway: if it is yours, start the \
                     gateway with --allow-origin {origin}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// A page can make its own name resolve to this machine (DNS rebinding), but it cannot use an address.
    fn is_ours(&self, host: &str) -> bool {
        let address = host.trim_start_matches('[').trim_end_matches(']');
        address.parse::<IpAddr>().is_ok()
            || host.eq_ignore_ascii_case("localhost")
            || self.hosts.iter().any(|it| it.eq_ignore_ascii_case(host))
    }
}

impl<B> ValidateRequest<B> for Guard {
    type ResponseBody = Body;

    fn validate(&mut self, request: &mut Request<B>) -> Result<(), Response<Body>> {
        self.check(request).map_err(IntoResponse::into_response)
    }
}
