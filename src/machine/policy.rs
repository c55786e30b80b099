//! The times that all handles of one instance share.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long things may take. Where the handles of one instance differ, the longest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Policy {
    pub(crate) ready_timeout: Duration,
    /// `None`: an idle instance is never stopped.
    pub(crate) idle_stop: Option<Duration>,
    pub(crate) stop_timeout: Duration,
    /// `None`: a start continues when its last waiter has left.
    pub(crate) abandon_grace: Option<Duration>,
    /// `None`: a server is never called unresponsive.
    pub(crate) unresponsive_after: Option<Duration>,
    /// Its process needs something beside the address.
    #[serde(default)]
    pub(crate) needs_room: bool,
    /// It is started without a request, and again whenever there is room.
    #[serde(default)]
    pub(crate) keep_ready: bool,
    /// A stop begins with a command.
    #[serde(default)]
    pub(crate) stop_command: bool,
    /// Its process only starts the server, and says nothing of it: the port alone tells whether that has ended.
    #[serde(default)]
    pub(crate) launcher: bool,
    /// It is ready only when it has answered a request.
    #[serde(default)]
    pub(crate) ready_request: bool,
}

impl Policy {
    /// The longer of each; never is the longest.
    pub(crate) fn longest(self, other: Self) -> Self {
        fn longer(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
            Some(a?.max(b?))
        }
        Self {
            ready_timeout: self.ready_timeout.max(other.ready_timeout),
            idle_stop: longer(self.idle_stop, other.idle_stop),
            stop_timeout: self.stop_timeout.max(other.stop_timeout),
            abandon_grace: longer(self.abandon_grace, other.abandon_grace),
            unresponsive_after: longer(self.unresponsive_after, other.unresponsive_after),
            needs_room: self.needs_room || other.needs_room,
            keep_ready: self.keep_ready || other.keep_ready,
            stop_command: self.stop_command || other.stop_command,
            launcher: self.launcher || other.launcher,
            ready_request: self.ready_request || other.ready_request,
        }
    }
}
