//! How servers are launched: as processes of your program, or by a [`Launcher`] of your own.
//!
//! A [`Launcher`] starts an instance of a service. The [`Running`] that it returns is that instance: it tells how the
//! instance ended, asks it to end, and says whose program listens on its port. A launcher decides nothing: when an
//! instance is started, asked to end or killed, how long it may take to be ready, and what its requests get if it is
//! not, is the same for every launcher.
//!
//! An instance may be more than one process. It has *exited* when its server has ended, which is what its users
//! notice. It is *gone* when nothing that it started is left either; only then may another instance take its place.
//!
//! [`LocalServiceConfig::new`](crate::LocalServiceConfig::new) starts a process.
//! [`LocalServiceConfig::launched_by`](crate::LocalServiceConfig::launched_by) takes a launcher of your own, for what is
//! no process: a virtual machine, a job of a cluster, a task of your program.
//!
//! # Example
//!
//! `examples/launcher.rs` in the repository runs a server as a thread of the program. In short:
//!
//! ```
//! use tower_local_service::{
//!     LocalServiceConfig,
//!     launch::{BoxFuture, LaunchContext, LaunchError, LaunchIdentity, Launcher, Running},
//! };
//!
//! struct VirtualMachine {
//!     image: String,
//! }
//!
//! impl Launcher for VirtualMachine {
//!     fn identity(&self) -> LaunchIdentity {
//!         LaunchIdentity::new("virtual machine").part(&self.image)
//!     }
//!
//!     fn launch(
//!         &self,
//!         context: LaunchContext,
//!     ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
//!         Box::pin(async move {
//!             let reason = format!("nothing can listen on port {} here", context.port());
//!             Err(LaunchError::new("the virtual machine", std::io::Error::other(reason)))
//!         })
//!     }
//! }
//!
//! let config = LocalServiceConfig::launched_by(VirtualMachine { image: "llama.img".to_owned() });
//! # drop(config);
//! ```

#[cfg(all(any(unix, windows), not(tower_local_service_unsupported)))]
mod blocking;
pub(crate) mod command;
mod context;
#[cfg(feature = "docker")]
pub(crate) mod docker;
mod error;
mod guarantees;
mod identity;
#[cfg(feature = "kubernetes")]
pub(crate) mod kubernetes;
mod listener;
pub(crate) mod output;
#[cfg(all(any(unix, windows), not(tower_local_service_unsupported)))]
mod pipes;
// The same names in each: on Unix, on Windows, and where processes cannot be started.
#[cfg(any(not(any(unix, windows)), tower_local_service_unsupported))]
#[path = "unsupported.rs"]
pub(crate) mod process;
#[cfg(all(unix, not(tower_local_service_unsupported)))]
pub(crate) mod process;
#[cfg(windows)]
#[path = "windows/mod.rs"]
pub(crate) mod process;
mod processes;
#[cfg(any(not(unix), tower_local_service_unsupported))]
mod unseen;

use std::{future::Future, pin::Pin, time::Duration};

pub use self::{
    command::InheritEnv,
    context::LaunchContext,
    error::LaunchError,
    guarantees::Guarantees,
    identity::LaunchIdentity,
    listener::{Listener, Look},
    output::{OutputSink, OutputStream},
};
pub(crate) use self::{
    command::{Launch, OomScoreAdj, StopSignal},
    listener::Holder,
    processes::Processes,
};
use crate::error::Problem;

/// A future in a box, as an object-safe trait needs it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Starts the instances of a service.
///
/// It is asked on the crate's own thread, or on the runtime of
/// [`Registry::with_runtime`](crate::Registry::with_runtime): none of its methods may block. No request that finds its
/// server ready comes here.
pub trait Launcher: Send + Sync + 'static {
    /// What is launched. Two services with the same identity and the same address are one instance, in all programs of
    /// this user.
    ///
    /// It does not change as long as the launcher lives.
    fn identity(&self) -> LaunchIdentity;

    /// What would make a start fail, as far as that is known without trying. Asked before each start, which is refused
    /// if there is a problem, and when the service is created, for a warning. None by default.
    ///
    /// `service` is the name for [`Problem::new`].
    fn problems(&self, service: &str) -> Vec<Problem> {
        let _ = service;
        Vec::new()
    }

    /// What should be known, and is no reason to refuse a start. Asked when the service is created. None by default.
    fn warnings(&self, service: &str) -> Vec<Problem> {
        let _ = service;
        Vec::new()
    }

    /// Whether its servers may be on other machines. Then the base URL may be, and the health URL at its host, without
    /// [`allow_remote_health`](crate::LocalServiceConfig::allow_remote_health). No by default.
    ///
    /// It does not change as long as the launcher lives.
    fn serves_elsewhere(&self) -> bool {
        false
    }

    /// Whether what the look before a start has found is no external server: an instance of this identity that another
    /// program has left behind when it ended, or what only stands before one that does not run, such as a proxy. No by
    /// default.
    ///
    /// Asked when the address has not refused the connection, and no other program of this user has it. If so,
    /// [`launch`](Self::launch) follows, and returns the instance that was left, if there is one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    fn takes_over(&self, context: &LaunchContext) -> BoxFuture<'static, bool> {
        let _ = context;
        Box::pin(std::future::ready(false))
    }

    /// Starts an instance.
    ///
    /// # Errors
    ///
    /// It could not be started. Nothing is left running.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has to leave nothing running.
    fn launch(
        &self,
        context: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>>;

    /// What it guarantees of the instances that it starts now. Nothing by default.
    ///
    /// [`shares_servers`](Guarantees::shares_servers) and [`sees_use`](Guarantees::sees_use) are the same for every
    /// launcher, and are set by the crate.
    fn guarantees(&self) -> Guarantees {
        Guarantees::default()
    }

    /// Values that must not be shown, such as keys that the server is given. They are replaced in its output, wherever
    /// that is shown. None by default.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An instance that was started. Dropping it ends all of it at once, without waiting.
///
/// It is asked on the same thread as its [`Launcher`]: none of its methods may block.
pub trait Running: Send + 'static {
    /// The number of its process on this machine, if it is one.
    fn id(&self) -> Option<u32>;

    /// Resolves when the server has ended and its output is complete; a further call resolves to the same.
    ///
    /// # Cancel safety
    ///
    /// It is dropped and called again whenever something else happens.
    fn exited(&mut self) -> BoxFuture<'_, Exit>;

    /// Resolves when nothing of the instance is left. It ends nothing: see [`stop`](Self::stop) and
    /// [`kill`](Self::kill). Called only after [`exited`](Self::exited) has resolved.
    ///
    /// # Cancel safety
    ///
    /// It is dropped and called again whenever something else happens.
    fn gone(&mut self) -> BoxFuture<'_, ()>;

    /// Whether the server runs, as it is known now. `false` may be known some time before
    /// [`exited`](Self::exited) resolves.
    fn is_alive(&mut self) -> bool;

    /// Asks the instance to end. Called again, it asks again: at half of
    /// [`stop_timeout`](crate::LocalServiceConfig::stop_timeout).
    fn stop(&mut self);

    /// Ends the instance, whatever it does.
    fn kill(&mut self);

    /// Whose program listens on the port: an answer counts as that of the instance only if it is not known to be
    /// another program's. Not known by default.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    fn owns_port(&self, port: u16) -> BoxFuture<'static, Listener> {
        let _ = port;
        Box::pin(std::future::ready(Listener::Unseen))
    }

    /// What the instance does, for the error if it is never ready. Not known by default.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    fn look(&self) -> BoxFuture<'static, Look> {
        Box::pin(std::future::ready(Look::default()))
    }

    /// What is guaranteed of this instance, where that may be less than its [`Launcher::guarantees`] says: of one that was
    /// left by another program, for example. `None`, the default: what the launcher says.
    ///
    /// Asked once, when it was started.
    fn guarantees(&self) -> Option<Guarantees> {
        None
    }

    /// What the instance has used of the CPU so far. A server that answers nothing, and is not known to use the CPU,
    /// counts as [unresponsive](crate::LocalServiceConfig::unresponsive_after). Not known by default.
    fn cpu_time(&self) -> Option<Duration> {
        None
    }
}

/// How an instance ended. Without a code and a signal, nothing is known but that it ended.
///
/// # Example
///
/// ```
/// use tower_local_service::launch::Exit;
///
/// assert_eq!(Exit::with_code(1).code, Some(1));
/// assert_eq!(Exit::with_signal(9).signal, Some(9));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exit {
    /// The exit code, if the server ended by itself.
    pub code: Option<i32>,
    /// The signal that ended the server, if one did.
    pub signal: Option<i32>,
    /// The watchdog ended before the service, and the service was killed for that reason.
    pub(crate) watchdog_died: bool,
}

impl Exit {
    /// The server ended by itself.
    #[must_use]
    pub fn with_code(code: i32) -> Self {
        Self {
            code: Some(code),
            ..Self::default()
        }
    }

    /// A signal ended the server.
    #[must_use]
    pub fn with_signal(signal: i32) -> Self {
        Self {
            signal: Some(signal),
            ..Self::default()
        }
    }
}
