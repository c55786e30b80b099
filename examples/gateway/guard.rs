//! Keeps out the pages of other sites, which reach this address through the browser of its user.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Request, Response, header, uri::Authority},
    response::IntoResponse,
};
use tower_http::validate_request::ValidateRequest;

use crate::failure::Failure;

/// Refuses requests of pages, except for the allowed ones. Programs send no `Origin`.
// `tower_http::csrf` would let every GET pass; here no page may use anything.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    hosts: Arc<[String]>,
    origins: Arc<[HeaderValue]>,
}

impl Guard {
    pub(crate) fn new(hosts: &[String], origins: &[HeaderValue]) -> Self {
        Self {
            hosts: hosts.into(),
            origins: origins.into(),
        }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let host = headers.get(header::HOST);
        let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
        if !host.is_some_and(|host| self.is_ours(host.host())) {
            return Err(Failure::forbidden(
                "the Host of this request is no name of this gateway: use its address, or start it with \
                 --allow-host NAME",
            ));
        }
        match headers.get(header::ORIGIN) {
            Some(origin) if !self.origins.contains(origin) => Err(Failure::forbidden(
                "pages of this Origin may not use this gateway: start it with --allow-origin ORIGIN",
            )),
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
        self.check(request.headers())
            .map_err(IntoResponse::into_response)
    }
}
