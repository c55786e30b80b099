//! Which server a request is for.

use http::{Uri, uri::Scheme};

use super::{
    UrlHost,
    host::{HostRef, Uncased},
    port,
};

/// Scheme, host and port of a URL. All spellings of this machine are one host.
///
/// Borrowed: origins are compared on every request, which must not allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin<'a> {
    port: u16,
    host: HostRef<'a>,
    scheme: Uncased<'a>,
}

impl<'a> Origin<'a> {
    /// `None` if the URL lacks one of the three.
    pub(crate) fn of(url: &'a Uri) -> Option<Self> {
        Some(Self {
            port: port(url)?,
            host: HostRef::parse(url.host()?)?.canonical(),
            scheme: Uncased(url.scheme_str()?),
        })
    }
}

/// An origin to keep.
#[derive(Clone, Debug)]
pub(crate) struct OwnedOrigin {
    port: u16,
    host: UrlHost,
    scheme: Scheme,
}

impl OwnedOrigin {
    /// `None` if the URL has no origin.
    pub(crate) fn of(url: &Uri) -> Option<Self> {
        Some(Self {
            port: port(url)?,
            host: UrlHost::parse(url.host()?)?,
            scheme: url.scheme()?.clone(),
        })
    }

    pub(crate) fn by_ref(&self) -> Origin<'_> {
        Origin {
            port: self.port,
            host: self.host.by_ref().canonical(),
            scheme: Uncased(self.scheme.as_str()),
        }
    }
}

/// Whether a request goes to the server behind the base URL. Allocates nothing.
pub(crate) fn same_origin(base: &Uri, request: &Uri) -> bool {
    Origin::of(base).is_some_and(|base| Origin::of(request) == Some(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Uri {
        text.parse().unwrap()
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
