//! Keeps out the pages of other sites, which reach this address through the browser of its user.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Request, Response, header, uri::Authority},
    response::IntoResponse,
};
use tower_http::validate_request::ValidateRequest;

use crate::{failure::Failure, origins::Origins};

/// How much of an origin a message shows.
const SHOWN: usize = 100;

/// What browsers say of the page that sends a request, also where they send no `Origin`.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses requests of pages, except for those of this gateway and the allowed ones. Programs send no `Origin`.
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
        let hosts: Option<Vec<_>> = named.into_iter().chain(asked).collect();
        let hosts = hosts.unwrap_or_default();
        if hosts.is_empty() || !hosts.iter().all(|it| self.is_ours(it.host())) {
            return Err(Failure::forbidden(
                "the Host of this request does not name this gateway: use its address, or start it with \
                 --allow-host NAME",
            ));
        }
        let site = headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        let of_other_site = matches!(site, Some(b"cross-site" | b"same-site"));
        match headers.get(header::ORIGIN) {
            Some(origin) if self.origins.allow(origin) => Ok(()),
            Some(origin) if !of_other_site && hosts.iter().all(|it| is_origin(origin, it)) => {
                Ok(())
            }
            Some(origin) => {
                let origin = String::from_utf8_lossy(origin.as_bytes());
                let origin: String = origin.chars().take(SHOWN).collect();
                Err(Failure::forbidden(&format!(
                    "pages of the Origin {origin} may not use this gateway: if it is yours, start the \
                     gateway with --allow-origin {origin}"
                )))
            }
            // An image or a link of another site, which may lead to the page alone: a GET may start a server.
            None if of_other_site && request.uri().path() != "/" => Err(Failure::forbidden(
                "pages of other sites may not use this gateway: type the address, or begin at its page",
            )),
            None => Ok(()),
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

/// Whether a page at that address has this origin.
fn is_origin(origin: &HeaderValue, address: &Authority) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let schemes = ["http://", "https://"].into_iter();
    let mut authorities = schemes.filter_map(|it| origin.strip_prefix(it));
    authorities.any(|it| it.eq_ignore_ascii_case(address.as_str()))
}

impl<B> ValidateRequest<B> for Guard {
    type ResponseBody = Body;

    fn validate(&mut self, request: &mut Request<B>) -> Result<(), Response<Body>> {
        self.check(request).map_err(IntoResponse::into_response)
    }
}
