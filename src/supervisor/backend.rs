//! What the supervisor needs of the machine that it runs on. Its tests have a simulated one.

use std::{future::Future, sync::Arc};

use crate::{
    config::Target,
    launch::{Launcher, process::Processes},
    probe::{self, Answer},
};

/// Starts instances, and asks whether they are ready.
pub(crate) trait Backend: Launcher {
    /// One probe of the health URL. Resolves within the target's timeout.
    fn probe(&self, target: Arc<Target>) -> impl Future<Output = Answer> + Send + use<Self>;

    /// Whether the address that requests go to refuses a connection. Resolves within the target's timeout.
    fn refuses(&self, target: Arc<Target>) -> impl Future<Output = bool> + Send + use<Self>;
}

impl Backend for Processes {
    fn probe(&self, target: Arc<Target>) -> impl Future<Output = Answer> + Send + use<> {
        async move { probe::get(&target).await }
    }

    fn refuses(&self, target: Arc<Target>) -> impl Future<Output = bool> + Send + use<> {
        async move { probe::refuses_requests(&target).await }
    }
}
