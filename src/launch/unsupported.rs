//! A system on which the crate starts no processes: it uses servers that run, and launchers of your own work.

use std::{convert::Infallible, io};

#[cfg(feature = "retry")]
pub(crate) use super::unseen::is_running;
pub(crate) use super::unseen::{cpu_time_of, holder, last_use, shows_use};
use super::{BoxFuture, Exit, Guarantees, LaunchError, OutputSink, Processes, Running};

/// There are none.
pub(crate) struct Process(Infallible);

/// # Errors
///
/// The crate cannot start processes here.
pub(super) async fn spawn(_: Processes, _: OutputSink) -> Result<Process, LaunchError> {
    let reason = "on this system the crate cannot make sure that a process ends with your program";
    let error = io::Error::new(io::ErrorKind::Unsupported, reason);
    Err(LaunchError::new("service", error))
}

impl Running for Process {
    fn id(&self) -> Option<u32> {
        match self.0 {}
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        match self.0 {}
    }

    fn gone(&mut self) -> BoxFuture<'_, ()> {
        match self.0 {}
    }

    fn is_alive(&mut self) -> bool {
        match self.0 {}
    }

    fn stop(&mut self) {
        match self.0 {}
    }

    fn kill(&mut self) {
        match self.0 {}
    }
}

pub(crate) fn guarantees() -> Guarantees {
    Guarantees::default()
}
