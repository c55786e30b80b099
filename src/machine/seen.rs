//! What a probe saw.

use serde::{Deserialize, Serialize};

/// What a probe saw, as far as a decision depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Sight {
    /// The answer that was expected.
    Ready,
    /// No process listens, and a kernel said so: every address that can be reached from here refused. Nothing
    /// weaker counts, since a start or a restart follows from it at once.
    Refused,
    /// A server that this service's launcher has started for another program, which has ended: it is taken over.
    Left,
    /// A server that may become ready: it says so, or it closed the connection before an answer.
    Loading,
    /// The server asks for credentials.
    Denied,
    /// A proxy says that the server behind it is down.
    Down,
    /// Any other answer, or an answer of another program.
    Other,
    /// No answer in time, or no probe could be made. Says nothing about the server, so nothing follows from it
    /// in haste.
    Silent,
}
