//! Who listens on a port, and what the processes of an instance do.

use std::{fmt, net::SocketAddr, time::Duration};

/// Whose program listens on a port, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listener {
    /// The instance.
    #[non_exhaustive]
    Own {
        /// An address on which it listens for other machines, too.
        exposed: Option<SocketAddr>,
    },
    /// Another program.
    #[non_exhaustive]
    Other {
        /// The process that holds the socket.
        pid: u32,
    },
    /// No program, or one that this user may not see, or the system does not tell.
    Unseen,
}

impl Listener {
    /// The instance; perhaps on an address that other machines can reach.
    #[must_use]
    pub fn own(exposed: Option<SocketAddr>) -> Self {
        Self::Own { exposed }
    }

    /// Another program, of which this process holds the socket.
    #[must_use]
    pub fn other(pid: u32) -> Self {
        Self::Other { pid }
    }
}

/// A program that has a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) pid: u32,
    /// Its name, where the system tells.
    pub(crate) program: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.program {
            Some(program) => write!(f, "`{program}` (pid {})", self.pid),
            None => write!(f, "the process with pid {}", self.pid),
        }
    }
}

/// What an instance does, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Look {
    /// A process that is suspended, most often because it asks for something on a terminal that it may not
    /// read. It continues when it is stopped or continued by a signal.
    pub suspended: Option<u32>,
    /// The addresses on which the instance listens, in order.
    pub listens_on: Vec<SocketAddr>,
    /// A process that this user may not signal (of `sudo`, for one), so that no stop reaches it.
    pub beyond_reach: Option<u32>,
    /// Why it cannot be ended now, and what to do: for the error if it survives a stop.
    pub obstacle: Option<String>,
    /// What its processes have used of the CPU so far.
    pub cpu: Option<Duration>,
}
