//! What a probe asks for, and which answers are wanted.

use std::{net::IpAddr, time::Duration};

use http::HeaderMap;

/// Where a probe connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    /// `localhost`: 127.0.0.1, then `[::1]`; never the resolver's answer.
    Localhost,
    /// An address. The unspecified addresses have become loopback ones.
    Address(IpAddr),
    /// A name to resolve; only with `allowRemoteHealth`.
    Name(String),
}

/// One GET of the health URL.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) host: Host,
    pub(crate) port: u16,
    /// As written in the URL, for the `Host` header: `localhost:8080`.
    pub(crate) authority: String,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    /// `None`: any 2xx.
    pub(crate) wanted: Option<Vec<u16>>,
    /// From the first connect to the end of the response head.
    pub(crate) timeout: Duration,
}
