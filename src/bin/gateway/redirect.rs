//! Redirects of a server to itself, which knows nothing of the path under which this gateway shows it.

use std::net::IpAddr;

use axum::http::{
    HeaderMap, HeaderValue, Uri,
    header::LOCATION,
    uri::{Authority, Scheme},
};

/// Where clients find the server at this URL.
#[derive(Debug)]
pub(crate) struct Place {
    server: Uri,
    /// What its paths begin with here: `/upstream/{provider}`.
    root: String,
}

impl Place {
    pub(crate) fn new(server: Uri, root: String) -> Self {
        Self { server, root }
    }

    /// Leads a redirect to the server back through this gateway. Others, and those that are relative to the path that
    /// was asked for, stay as they are.
    pub(crate) fn lead_back(&self, headers: &mut HeaderMap) {
        let location = headers.get(LOCATION).and_then(|it| it.to_str().ok());
        let Some(path) = location.and_then(|it| self.path_of(it)) else {
            return;
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        if let Ok(location) = HeaderValue::try_from(format!("{}{slash}{path}", self.root)) {
            headers.insert(LOCATION, location);
        }
    }

    /// What comes behind the server's origin in a URL of its own, or in a path of it.
    fn path_of<'a>(&self, location: &'a str) -> Option<&'a str> {
        if location.starts_with('/') && !location.starts_with("//") {
            return Some(location);
        }
        let (scheme, rest) = location.split_once("//")?;
        let own = self.server.scheme()?;
        // Without one it is that of the page.
        if !scheme.is_empty() && !scheme.strip_suffix(':')?.eq_ignore_ascii_case(own.as_str()) {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_own = is_same(own, &authority.parse().ok()?, self.server.authority()?);
        is_own.then_some(path)
    }
}

fn is_same(scheme: &Scheme, one: &Authority, other: &Authority) -> bool {
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let port = |it: &Authority| it.port_u16().unwrap_or(default);
    let (a, b) = (one.host(), other.host());
    port(one) == port(other)
        && (a.eq_ignore_ascii_case(b) || (is_this_machine(a) && is_this_machine(b)))
}

/// A server may call itself by another of these names than the configuration does.
fn is_this_machine(host: &str) -> bool {
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse();
    host.eq_ignore_ascii_case("localhost")
        || ip.is_ok_and(|ip: IpAddr| ip.is_loopback() || ip.is_unspecified())
}
