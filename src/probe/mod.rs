//! Asks a server whether it is ready.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a probe saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Sight {
    /// A wanted status.
    Wanted,
    /// Nobody listens.
    Refused,
    /// No response head in time.
    Silent,
    /// The connection was closed or reset before a response head.
    Broken,
    /// Another status.
    Status(u16),
    /// Something that is not HTTP/1.
    Garbled,
    /// A wanted status, but from a process that is not ours.
    Stranger(u32),
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wanted => f.write_str("ready"),
            Self::Refused => f.write_str("connection refused"),
            Self::Silent => f.write_str("no answer in time"),
            Self::Broken => f.write_str("connection closed before an answer"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Garbled => f.write_str("an answer that is not HTTP"),
            Self::Stranger(pid) => write!(f, "an answer of another program (pid {pid})"),
        }
    }
}
