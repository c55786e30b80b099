//! A launcher in the place of the process.

use std::{fmt, sync::Arc};

use super::LocalServiceConfig;
use crate::launch::{Launch, LaunchIdentity, Launcher, Processes, StopSignal};

/// A launcher of the user's own. Two are equal if they launch the same.
#[derive(Clone)]
pub(super) struct Own(pub(super) Arc<dyn Launcher>);

impl Own {
    pub(super) fn new(launcher: impl Launcher) -> Self {
        Self(Arc::new(launcher))
    }
}

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        self.0.identity() == other.0.identity()
    }
}

impl Eq for Own {}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.identity().fmt(f)
    }
}

impl LocalServiceConfig {
    pub(super) fn launch_identity(&self) -> LaunchIdentity {
        match self.in_place_of_process() {
            Some(own) => own.identity(),
            None => self.launch.normal().identity(),
        }
    }

    /// A launcher of the user's own, or that of a container or of a workload.
    pub(super) fn in_place_of_process(&self) -> Option<Arc<dyn Launcher>> {
        let own = self.own.as_ref().map(|own| own.0.clone());
        own.or_else(|| self.container.as_ref()?.launcher())
            .or_else(|| self.kubernetes.as_ref()?.launcher())
    }

    /// Whether the server may be on another machine, also where this crate is built without what starts it.
    pub(super) fn serves_elsewhere(&self) -> bool {
        let own = self.own.as_ref();
        self.kubernetes.is_some() || own.is_some_and(|own| own.0.serves_elsewhere())
    }

    /// With what the process is started, unless a launcher takes its place.
    pub(super) fn launches(&self) -> Arc<dyn Launcher> {
        match self.in_place_of_process() {
            Some(own) => own,
            None => Arc::new(self.processes()),
        }
    }

    /// It runs as the command does: in the same directory, with the same variables.
    pub(super) fn stop_launcher(&self) -> Option<Arc<dyn Launcher>> {
        let mut words = self.stop_command.as_ref()?.iter().cloned();
        let launch = Launch {
            command: words.next()?.into(),
            args: words.collect(),
            is_launcher: false,
            ..self.launch.normal()
        };
        Some(Arc::new(Processes {
            launch: Arc::new(launch),
            // What it starts in the background is not its own.
            stop_detached: false,
            stop_command: None,
            stop_signal: StopSignal::default(),
            ..self.processes()
        }))
    }

    pub(super) fn processes(&self) -> Processes {
        Processes {
            launch: Arc::new(self.launch.normal()),
            stop_command: self
                .stop_command
                .as_ref()
                .and_then(|it| it.first().cloned()),
            stop_detached: self.stop_detached,
            oom_score_adj: self.oom_score_adj,
            stop_signal: self.first_signal().unwrap_or_default(),
            lock: None,
        }
    }
}
