//! This machine.

use std::{future::Future, sync::Arc};

use super::backend::{Backend, Process};
use crate::{
    config::{Secrets, Settings, Target, file_problems},
    error::Problem,
    probe::{self, Sight},
    process::{self, Exit, Listener, Output},
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
        let (launch, stop_strays) = (settings.launch.clone(), settings.stop_strays);
        let output = Output {
            service: service.to_owned(),
            secrets: Secrets::clone(&settings.secrets),
        };
        async move {
            let spawned = process::spawn(launch, output, stop_strays).await;
            spawned.map_err(|process::SpawnError::Os { what, error }| format!("{what}: {error}"))
        }
    }

    fn probe(&self, target: Arc<Target>) -> impl Future<Output = Sight> + Send + use<> {
        async move { probe::look(&target).await }
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

    fn output(&self, settings: &Settings) -> String {
        Self::output(self).text(&settings.secrets)
    }
}
