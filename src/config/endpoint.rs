//! What two servers cannot share.

use std::fmt;

/// A host and port.
///
/// `localhost`, 127.0.0.0/8, `[::1]`, `0.0.0.0` and `[::]` are one host, called `localhost` here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
