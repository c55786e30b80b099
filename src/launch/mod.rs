//! What the supervisor needs of the machine that it is on; tests give it another one.

mod local;
pub(crate) mod process;

use std::{future::Future, net::SocketAddr, sync::Arc};

pub(crate) use self::local::Local;
use self::process::{Exit, Listener};
use crate::{
    config::{Settings, Target},
    error::Problem,
    machine::Sight,
};

/// Starts processes and probes them.
pub(crate) trait Backend: Clone + Send + Sync + 'static {
    type Process: Process;

    /// What the file system says against a start.
    fn problems(&self, settings: &Settings, service: &str) -> Vec<Problem>;

    /// Starts the process in the group of its guardian.
    ///
    /// # Errors
    ///
    /// The operating system refused; nothing is left behind.
    fn spawn(
        &self,
        settings: &Settings,
        service: &str,
    ) -> impl Future<Output = Result<Self::Process, String>> + Send + use<Self>;

    /// One look at the health URL.
    fn probe(&self, target: Arc<Target>) -> impl Future<Output = Sight> + Send + use<Self>;
}

/// A process that was started. Dropping it ends its whole group at once.
pub(crate) trait Process: Send + 'static {
    fn pid(&self) -> u32;

    /// Resolves when it has ended; again if asked again. Cancel safe.
    fn ended(&mut self) -> impl Future<Output = Exit> + Send;

    /// Resolves when nothing of its group is left. Cancel safe.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;

    fn is_alive(&mut self) -> bool;

    fn terminate(&mut self);

    fn kill(&mut self);

    /// Who listens on the port.
    fn listener(&self, port: u16) -> Listener;

    /// Where it listens on the port for other machines, too.
    fn beyond_loopback(
        &self,
        port: u16,
    ) -> impl Future<Output = Option<SocketAddr>> + Send + use<Self>;

    /// The last of what it wrote, complete once it has ended.
    fn output(&self, settings: &Settings) -> String;
}
