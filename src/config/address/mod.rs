//! Hosts, ports and origins of URLs: what two servers cannot share, and which server a request is for.

mod host;
mod origin;
pub(super) mod url;

use std::fmt;

use http::Uri;

use self::host::HostRef;
pub(crate) use self::{
    host::UrlHost,
    origin::{Origin, OwnedOrigin, same_origin},
    url::shown,
};

/// A host and port, in one form for all spellings.
///
/// `localhost`, 127.0.0.0/8, `[::1]`, `0.0.0.0` and `[::]` are one host, called `localhost` here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Where requests for this URL go; `None` if it names no host and port.
    pub(crate) fn of(url: &Uri) -> Option<Self> {
        Some(Self {
            host: HostRef::parse(url.host()?)?.canonical().to_string(),
            port: port(url)?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The port that a URL names, or that its scheme implies; `None` for 0 and for what is no port.
pub(crate) fn port(url: &Uri) -> Option<u16> {
    // `Uri::port_u16` is `None` for `:99999` and `:` too, which are not the default port.
    let authority = url.authority()?.as_str();
    let written = authority.rsplit('@').next()?.strip_prefix(url.host()?)?;
    match written.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|it| it.is_ascii_digit()) => {
            digits.parse().ok().filter(|&port| port != 0)
        }
        Some(_) => None,
        None => match url.scheme_str()? {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn address(text: &str) -> Option<String> {
        Address::of(&url(text)).map(|it| it.to_string())
    }

    #[test]
    fn an_address_is_a_canonical_host_and_a_port() {
        assert_eq!(
            address("http://127.0.0.1:8080/v1").unwrap(),
            "localhost:8080"
        );
        assert_eq!(address("http://[::]:8080").unwrap(), "localhost:8080");
        assert_eq!(address("http://LOCALHOST").unwrap(), "localhost:80");
        assert_eq!(address("https://GPU.lan/v1").unwrap(), "gpu.lan:443");
        assert_eq!(address("http://[fe80::1]:1").unwrap(), "[fe80::1]:1");
    }

    #[test]
    fn what_names_no_port_has_no_address() {
        for text in [
            "http://h:0",
            "http://h:65536",
            "http://h:",
            "/v1",
            "ftp://h",
            "h",
        ] {
            assert_eq!(address(text), None, "{text}");
        }
    }
}
