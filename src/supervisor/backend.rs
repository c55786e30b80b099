//! What the supervisor needs of the machine that it runs on. Its tests have a simulated one.

use std::{future::Future, sync::Arc, time::Duration};

use crate::{
    config::{Settings, Target},
    launch::{Holder, Launcher, process},
    probe::{self, Answer},
};

/// Asks whether servers are ready, and what the system knows of them.
pub(crate) trait Backend: Clone + Send + Sync + 'static {
    /// What starts the instances of the service.
    fn launcher(&self, settings: &Settings) -> Arc<dyn Launcher>;

    /// What starts the stop command, if there is one.
    fn stop_command(&self, settings: &Settings) -> Option<Arc<dyn Launcher>>;

    /// One probe of the health URL, or the ready request. Resolves within the target's timeout.
    fn probe(&self, target: Arc<Target>) -> impl Future<Output = Answer> + Send + use<Self>;

    /// Whether the address that requests go to refuses a connection. Resolves within the target's timeout.
    fn refuses(&self, target: Arc<Target>) -> impl Future<Output = bool> + Send + use<Self>;

    /// The program that listens on the port, where the system tells. Takes milliseconds.
    fn holder(&self, port: u16) -> impl Future<Output = Option<Holder>> + Send + use<Self>;

    /// How long ago bytes went over an open connection to this port, from any program; `None` where the system
    /// does not tell, and if there is none. Takes milliseconds.
    fn last_use(&self, port: u16) -> impl Future<Output = Option<Duration>> + Send + use<Self>;

    /// What a process has used of the CPU so far, where the system tells.
    fn cpu_time_of(&self, pid: u32) -> Option<Duration>;
}

/// The machine that your program runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThisMachine;

impl Backend for ThisMachine {
    fn launcher(&self, settings: &Settings) -> Arc<dyn Launcher> {
        settings.launcher.clone()
    }

    fn stop_command(&self, settings: &Settings) -> Option<Arc<dyn Launcher>> {
        settings.stop_command.clone()
    }

    fn probe(&self, target: Arc<Target>) -> impl Future<Output = Answer> + Send + use<> {
        async move { probe::ask(&target).await }
    }

    fn refuses(&self, target: Arc<Target>) -> impl Future<Output = bool> + Send + use<> {
        async move { probe::refuses_requests(&target).await }
    }

    fn holder(&self, port: u16) -> impl Future<Output = Option<Holder>> + Send + use<> {
        process::holder(port)
    }

    fn last_use(&self, port: u16) -> impl Future<Output = Option<Duration>> + Send + use<> {
        process::last_use(port)
    }

    fn cpu_time_of(&self, pid: u32) -> Option<Duration> {
        process::cpu_time_of(pid)
    }
}
