//! The two URLs of a service.

use http::Uri;

use super::host::{HostRef, UrlHost};

/// Reads the base URL, or says what is wrong with it.
pub(crate) fn base(text: &str) -> Result<Uri, &'static str> {
    let url = parse(text)?;
    if !matches!(url.scheme_str(), Some("http" | "https")) {
        return Err("has a scheme other than HTTP: write http:// or https://");
    }
    if url.query().is_some() {
        return Err(
            "has a query, after which no path can follow: leave out the `?` and all after it",
        );
    }
    check_parts(&url)?;
    Ok(url)
}

/// Reads a health URL, or says what is wrong with it.
pub(crate) fn health(text: &str, allow_remote: bool) -> Result<Uri, &'static str> {
    let url = parse(text)?;
    if url.scheme_str() != Some("http") {
        return Err("is not an http URL: write http://, since probes speak plain HTTP");
    }
    check_parts(&url)?;
    if !allow_remote && !is_loopback(&url) {
        return Err(
            "is not on this machine: write a host such as 127.0.0.1 or localhost, or set \
             `allowRemoteHealth`",
        );
    }
    Ok(url)
}

/// The health URL where none is configured, or why one has to be.
pub(crate) fn default_health(base: &Uri, allow_remote: bool) -> Result<Uri, &'static str> {
    if base.scheme_str() != Some("http") {
        return Err(
            "is missing, as `baseUrl` is an https URL and probes speak plain HTTP: write an http \
             URL of the same server",
        );
    }
    if !allow_remote && !is_loopback(base) {
        return Err(
            "is missing, as `baseUrl` is not on this machine: write a health URL that is, or set \
             `allowRemoteHealth`",
        );
    }
    let text = base.to_string();
    parse(&format!("{}/models", text.trim_end_matches('/')))
}

fn parse(text: &str) -> Result<Uri, &'static str> {
    const NO_URL: &str = "is not a URL: write one such as http://127.0.0.1:8080/v1";
    if text.contains('#') {
        return Err("has a fragment, which is never sent: leave out the `#` and all after it");
    }
    let url: Uri = text.parse().map_err(|_| NO_URL)?;
    if url.scheme().is_none() || url.authority().is_none() {
        return Err(NO_URL);
    }
    Ok(url)
}

fn check_parts(url: &Uri) -> Result<(), &'static str> {
    if url.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err(
            "has user info: leave out all between `//` and `@`, and write credentials into \
             `healthHeaders` or the provider's `apiKey`",
        );
    }
    if url.host().and_then(HostRef::parse).is_none() {
        return Err(
            "has a host that is neither a name nor an address: write it in full, such as 127.0.0.1",
        );
    }
    if super::port(url).is_none() {
        return Err("has a port to which nobody can connect: write one from 1 to 65535");
    }
    Ok(())
}

/// Whether it is a URL of the same host as this one.
pub(crate) fn is_at_host(text: &str, other: &Uri) -> bool {
    let host = |url: &Uri| UrlHost::parse(url.host()?);
    parse(text).is_ok_and(|it| host(&it).is_some_and(|it| host(other) == Some(it)))
}

pub(crate) fn is_loopback(url: &Uri) -> bool {
    let host = url.host().and_then(HostRef::parse);
    host.is_some_and(HostRef::is_loopback)
}

/// The URL without its query and user info, which may contain keys.
pub(crate) fn shown(text: &str) -> String {
    let (place, query) = match text.find(['?', '#']) {
        Some(at) => (&text[..at], "?[redacted]"),
        None => (text, ""),
    };
    match place.rsplit_once('@') {
        Some((_, host)) => format!("[redacted]@{host}{query}"),
        None => format!("{place}{query}"),
    }
}
