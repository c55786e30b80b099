//! This machine.

use std::{future::Future, net::SocketAddr, sync::Arc};

use super::{
    Backend, Process,
    process::{self, Care, Exit, Listener, Output},
};
use crate::{
    config::{Secrets, Settings, Target, file_problems},
    error::Problem,
    machine::Sight,
    probe,
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Local;

impl Backend for Local {
    type Process = process::Process;

    fn problems(&self, settings: &Settings, service: &str) -> Vec<Problem> {
        file_problems(&settings.launch, service)
    }

    fn spawn(
        &self,
        settings: &Settings,
        service: &str,
    ) -> impl Future<Output = Result<Self::Process, String>> + Send + use<> {
        let launch = settings.launch.clone();
        let care = Care {
            stop_detached: settings.stop_detached,
            oom_score_adj: settings.oom_score_adj,
        };
        let output = Output {
            service: service.to_owned(),
            secrets: Secrets::clone(&settings.secrets),
        };
        async move {
            let spawned = process::spawn(launch, output, care).await;
            spawned.map_err(|process::SpawnError::Os { what, error }| format!("{what}: {error}"))
        }
    }

    fn probe(&self, target: Arc<Target>) -> impl Future<Output = Sight> + Send + use<> {
        async move { probe::get(&target).await.sight() }
    }
}

impl Process for process::Process {
    fn pid(&self) -> u32 {
        Self::pid(self)
    }

    async fn ended(&mut self) -> Exit {
        let exit = Self::ended(self).await;
        self.settle_output().await;
        exit
    }

    async fn gone(&mut self) {
        Self::gone(self).await;
    }

    fn is_alive(&mut self) -> bool {
        Self::is_alive(self)
    }

    fn terminate(&mut self) {
        Self::terminate(self);
    }

    fn kill(&mut self) {
        Self::kill(self);
    }

    fn listener(&self, port: u16) -> Listener {
        Self::listener(self, port)
    }

    fn beyond_loopback(
        &self,
        port: u16,
    ) -> impl Future<Output = Option<SocketAddr>> + Send + use<> {
        Self::beyond_loopback(self, port)
    }

    fn output(&self, settings: &Settings) -> String {
        Self::output(self).text(&settings.secrets)
    }
}
