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

use std::{fmt, future::Future, io, net::SocketAddr, time::Duration};

use crate::{config::Settings, error::Problem};

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

    /// The process that listens on the port, where the system tells. Takes milliseconds, on a thread that
    /// may block.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    fn holder(&self, port: u16) -> impl Future<Output = Option<u32>> + Send + use<Self>;

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

    /// The last 64 KiB of what the service wrote, without its secrets.
    fn output(&self, settings: &Settings) -> String;
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
    Ours {
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
