//! What a probe saw.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a probe saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Sight {
    /// A wanted status.
    Wanted,
    /// Nobody listens, and a kernel said so: every address that can be reached from here refused.
    /// (So does an `[::1]` that this machine lacks.) Nothing weaker counts, since a start or a
    /// restart follows from it at once.
    Refused,
    /// No response head in time, or no probe could be made: no free port or file descriptor here,
    /// no route, no such name. Says nothing about the server, so nothing follows from it in haste.
    Silent,
    /// The connection was closed or reset before a response head.
    Broken,
    /// Another final status, or a 101 that nobody asked for.
    Status(u16),
    /// Something that is not HTTP/1, or a head beyond all measure.
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
