//! Starts servers and ends them.
//!
//! A [`Launcher`] starts an instance of a service. The [`Running`] that it returns is that instance: it
//! tells how the instance ended, signals it, and says who listens on its port. A launcher decides
//! nothing: when an instance is started, asked to end or killed is decided by
//! [`machine`](crate::machine).
//!
//! An instance is more than one process. It is *ended* when the process of the service has ended, which
//! is what its users notice. It is *gone* when nothing that it started is left either; only then may
//! another instance take its place. Dropping a [`Running`] kills all of it at once.
//!
//! There is one launcher, [`process`]: it starts child processes. The tests of the supervisor have
//! another one, which starts nothing.

pub(crate) mod process;

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::{
    config::{Secrets, Settings},
    error::Problem,
};

/// Starts the instances of services.
pub(crate) trait Launcher: Clone + Send + Sync + 'static {
    type Running: Running;

    /// What would make a start fail, as far as the file system tells.
    fn problems(&self, settings: &Settings, service: &str) -> Vec<Problem>;

    /// Starts an instance of the service.
    ///
    /// # Errors
    ///
    /// The system refused. Nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing running.
    fn launch(
        &self,
        settings: &Settings,
        service: &str,
    ) -> impl Future<Output = Result<Self::Running, LaunchError>> + Send + use<Self>;

    /// The program that listens on the port, where the system tells. Takes milliseconds, on a thread that
    /// may block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    fn holder(&self, port: u16) -> impl Future<Output = Option<Holder>> + Send + use<Self>;

    /// What a process has used of the CPU so far, where the system tells.
    fn cpu_time_of(&self, pid: u32) -> Option<Duration>;
}

/// An instance that was started. Dropping it kills all of its processes at once.
pub(crate) trait Running: Send + 'static {
    /// The number of the service's own process.
    fn pid(&self) -> u32;

    /// Resolves when the service's process has ended and its output is complete; a further call returns
    /// the same. Cancel safe.
    fn ended(&mut self) -> impl Future<Output = Exit> + Send;

    /// Resolves when no process of the instance is left. It ends none: see
    /// [`terminate`](Self::terminate) and [`kill`](Self::kill). Cancel safe.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;

    /// What the processes of the instance have used of the CPU so far, where the system tells.
    fn cpu_time(&self) -> Option<Duration>;

    /// Whether the service's process runs, asked of the system now. `false` may be known some time
    /// before [`ended`](Self::ended) resolves.
    fn is_alive(&mut self) -> bool;

    /// Asks all processes of the instance to end; called again, it asks again. Does not block.
    fn terminate(&mut self);

    /// Kills all processes of the instance. Does not block.
    fn kill(&mut self);

    /// Finds out who listens on the port. Takes milliseconds, on a thread that may block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    fn listener(&self, port: u16) -> impl Future<Output = Listener> + Send + use<Self>;

    /// How long ago bytes went over an open connection to this port, from any program; `None` where the system
    /// does not tell, and if there is none. Takes milliseconds, on a thread that may block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    fn last_use(&self, port: u16) -> impl Future<Output = Option<Duration>> + Send + use<Self>;

    /// Looks at the processes of the instance. Takes milliseconds, on a thread that may block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    fn look(&self) -> impl Future<Output = Look> + Send + use<Self>;

    /// What the service writes, for readers that follow it.
    fn written(&self) -> Arc<dyn Written>;

    /// The last 64 KiB of what the service wrote, without its secrets. Earlier lines that name a
    /// failure are among them.
    fn output(&self, settings: &Settings) -> String;
}

/// What a service writes. It lasts longer than the instance.
pub(crate) trait Written: Send + Sync {
    /// The lines that were kept, and all that come after them.
    fn follow(&self, secrets: &Secrets) -> Followed;
}

/// What a service has written and writes.
pub(crate) struct Followed {
    /// Without secrets.
    pub(crate) kept: String,
    /// How many lines there were so far.
    pub(crate) so_far: u64,
    pub(crate) next: broadcast::Receiver<Lines>,
}

/// Some whole lines that a service has written, each but perhaps the last with a line feed at its end.
#[derive(Clone, Debug)]
#[expect(
    clippy::disallowed_types,
    reason = "the time is shown, and decides nothing"
)]
pub(crate) struct Lines {
    pub(crate) stream: OutputStream,
    pub(crate) at: std::time::SystemTime,
    /// How many lines came before these.
    pub(crate) first: u64,
    pub(crate) text: Arc<[u8]>,
}

/// One of the two streams to which a process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How an instance ended. Without a code and a signal, nothing is known but that it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    /// The exit code, if the service ended by itself.
    pub(crate) code: Option<i32>,
    /// The signal that ended the service, if one did.
    pub(crate) signal: Option<i32>,
    /// The watchdog ended before the service, and the service was killed for that reason.
    pub(crate) watchdog_died: bool,
}

/// Which process listens on a port, as far as it is known.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux shows who listens")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// A process of this instance.
    Own {
        /// An address on which it listens for other machines, too.
        exposed: Option<SocketAddr>,
    },
    /// Another program of this user.
    Other {
        /// The process that holds the socket.
        pid: u32,
    },
    /// No process, or one that this user may not see, or the system does not tell.
    Unseen,
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

/// What the processes of an instance do, as far as the system tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// A process that is suspended, most often because it asks for something on a terminal that it may not
    /// read. It continues when it is stopped or continued by a signal.
    pub(crate) suspended: Option<u32>,
    /// The addresses on which the instance listens, in order.
    pub(crate) listens_on: Vec<SocketAddr>,
    /// A process that this user may not signal (of `sudo`, for one), so that no stop reaches it.
    pub(crate) beyond_reach: Option<u32>,
    /// What its processes have used of the CPU so far.
    pub(crate) cpu: Option<Duration>,
}

/// What this machine allows, for servers that are started now: see [`Registry::guarantees`].
///
/// A server is started also where one of them is missing.
///
/// # Example
///
/// ```
/// use tower_local_service::Registry;
///
/// let guarantees = Registry::global().guarantees();
/// if !guarantees.finds_descendants {
///     eprintln!("a server behind `setsid` may outlive its stop");
/// }
/// ```
///
/// [`Registry::guarantees`]: crate::Registry::guarantees
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Guarantees {
    /// A server ends when your program ends, also by SIGKILL: there is `/bin/sh` for the watchdog.
    pub dies_with_program: bool,
    /// It then has up to two seconds to end by itself, before it is killed: there is `sleep` for the watchdog.
    pub has_grace: bool,
    /// Descendants that have left the process group of the server are found and end with it: the system
    /// shows parents and environments (Linux). If your program is killed, those end that a living parent ties
    /// to the server.
    pub finds_descendants: bool,
    /// Also a descendant that no living parent ties to the server ends when your program is killed: a control group
    /// (version 2) may be made for each server (Linux; as root, or in a session of systemd).
    pub keeps_descendants: bool,
    /// Programs of this user that use this crate share their servers: there is a folder for them.
    pub shares_servers: bool,
    /// A server that another program uses directly is not stopped for idleness: the system shows the connections to its
    /// port (Linux).
    pub sees_use: bool,
}

/// Why an instance was not started.
#[derive(Debug)]
pub(crate) struct LaunchError {
    /// What could not be started: the `service`, its `watchdog`, or the `thread` that starts both.
    pub(crate) what: &'static str,
    pub(crate) error: io::Error,
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}
