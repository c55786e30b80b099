//! What came of a probe.

use std::fmt;

use crate::machine::Sight;

/// What came of one probe, as far as the probe itself can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A status that counts as ready.
    Ready,
    /// No process listens, and a kernel said so: each address that this machine can reach refused (a
    /// missing `[::1]` counts as refused). Nothing weaker counts, since a start follows from it at once.
    Refused,
    /// No response head in time, or no probe could be made: no free port or descriptor, no route, no
    /// such name. This says nothing about the server.
    Silent,
    /// The connection was closed or reset before a response head.
    Closed,
    /// Any other final status, or a 101 although no upgrade was requested.
    Status(u16),
    /// Something that is not HTTP/1, or a head that is too long.
    NotHttp,
    /// A page for people, where a list of models was expected.
    Page,
    /// The expected answer, but the port that requests go to accepts no connections yet.
    NotAccepting(u16),
}

impl Answer {
    /// As far as a decision depends on it.
    pub(crate) fn sight(self) -> Sight {
        match self {
            Self::Ready => Sight::Ready,
            Self::Refused => Sight::Refused,
            Self::Silent => Sight::Silent,
            Self::Closed | Self::Status(503) | Self::NotAccepting(_) => Sight::Loading,
            Self::Status(401 | 403) => Sight::Denied,
            // A proxy says that the server behind it is down.
            Self::Status(502 | 504) => Sight::Down,
            Self::Status(_) | Self::NotHttp | Self::Page => Sight::Other,
        }
    }

    /// Whether a server lives there: silence says nothing, so nothing follows from it.
    pub(crate) fn shows_life(self) -> bool {
        !matches!(self, Self::Refused | Self::Closed)
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Refused => f.write_str("connection refused"),
            Self::Silent => f.write_str("no answer in time"),
            Self::Closed => f.write_str("connection closed before an answer"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::NotHttp => f.write_str("an answer that is not HTTP"),
            Self::Page => f.write_str("an HTML page"),
            Self::NotAccepting(port) => {
                write!(f, "ready, while port {port} accepts no connections")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_the_server_did() {
        for (answer, shown) in [
            (Answer::Ready, "ready"),
            (Answer::Refused, "connection refused"),
            (Answer::Silent, "no answer in time"),
            (Answer::Closed, "connection closed before an answer"),
            (Answer::Status(503), "status 503"),
            (Answer::NotHttp, "an answer that is not HTTP"),
            (Answer::Page, "an HTML page"),
            (
                Answer::NotAccepting(8080),
                "ready, while port 8080 accepts no connections",
            ),
        ] {
            assert_eq!(answer.to_string(), shown);
        }
    }
}
