//! What two servers cannot share.

mod host;
pub(super) mod url;

use std::{
    fmt,
    hash::{Hash as _, Hasher},
};

use http::Uri;

use self::host::HostRef;
pub(crate) use self::{host::Host, url::shown};

/// A host and port.
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
            host: Host::parse(url.host()?)?.canonical(),
            port: port(url)?,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Whether a request goes to the server behind the base URL: same scheme, host and port.
///
/// The spellings of this machine are one host. Allocates nothing.
pub(crate) fn same_origin(base: &Uri, request: &Uri) -> bool {
    fn host(url: &Uri) -> Option<HostRef<'_>> {
        HostRef::parse(url.host()?)
    }
    let (Some(base_host), Some(request_host)) = (host(base), host(request)) else {
        return false;
    };
    base.scheme() == request.scheme()
        && base_host.is_same(request_host)
        && port(base).is_some_and(|it| port(request) == Some(it))
}

/// Hashes what [`same_origin`] compares; `None` if the URL has no origin. Allocates nothing.
pub(crate) fn hash_origin(url: &Uri, hasher: &mut impl Hasher) -> Option<()> {
    HostRef::parse(url.host()?)?.hash(hasher);
    let scheme = url.scheme_str()?;
    scheme
        .bytes()
        .for_each(|byte| byte.to_ascii_lowercase().hash(hasher));
    port(url)?.hash(hasher);
    Some(())
}

/// The port that a URL names, or that its scheme implies; `None` for 0 and what is no port.
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

    fn endpoint(text: &str) -> Option<String> {
        Address::of(&url(text)).map(|it| it.to_string())
    }

    #[test]
    fn an_endpoint_is_a_canonical_host_and_a_port() {
        assert_eq!(
            endpoint("http://127.0.0.1:8080/v1").unwrap(),
            "localhost:8080"
        );
        assert_eq!(endpoint("http://[::]:8080").unwrap(), "localhost:8080");
        assert_eq!(endpoint("http://LOCALHOST").unwrap(), "localhost:80");
        assert_eq!(endpoint("https://GPU.lan/v1").unwrap(), "gpu.lan:443");
        assert_eq!(endpoint("http://[fe80::1]:1").unwrap(), "[fe80::1]:1");
    }

    #[test]
    fn what_names_no_port_has_no_endpoint() {
        for text in [
            "http://h:0",
            "http://h:65536",
            "http://h:",
            "/v1",
            "ftp://h",
            "h",
        ] {
            assert_eq!(endpoint(text), None, "{text}");
        }
    }

    #[test]
    fn one_origin_has_many_spellings() {
        let base = url("http://localhost:8080/v1");
        for text in [
            "http://127.0.0.1:8080/x?y",
            "HTTP://[::1]:8080",
            "http://u:p@0.0.0.0:8080/",
        ] {
            assert!(same_origin(&base, &url(text)), "{text}");
        }
        assert!(same_origin(&url("http://h/"), &url("http://H:80")));
        assert!(same_origin(&url("https://h./"), &url("https://h:443")));
    }

    #[test]
    fn another_scheme_host_or_port_is_another_origin() {
        let base = url("http://localhost:8080/v1");
        for text in [
            "https://localhost:8080/v1",
            "http://localhost:8081/v1",
            "http://localhost/v1",
            "http://localhost:65536",
            "http://10.0.0.1:8080",
            "http://example.com:8080",
            "/v1/models",
            "localhost:8080",
        ] {
            assert!(!same_origin(&base, &url(text)), "{text}");
        }
        assert!(!same_origin(
            &url("http://10.0.0.1"),
            &url("http://10.0.0.2")
        ));
    }
}
