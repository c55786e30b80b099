//! The launcher of a command: an instance is a child process of your program.

use std::{
    ffi::OsString,
    fs::File,
    path::Path,
    sync::{Arc, LazyLock},
};

use super::{
    BoxFuture, Guarantees, Launch, LaunchContext, LaunchError, LaunchIdentity, Launcher,
    OomScoreAdj, Running, StopSignal,
    command::{file_problems, file_warnings, program_problem},
    process,
};
use crate::error::Problem;

/// Starts a service as a child process of your program.
#[derive(Clone, Debug)]
#[cfg_attr(
    any(not(unix), tower_local_service_unsupported),
    allow(dead_code, reason = "some of it is of Unix")
)]
pub(crate) struct Processes {
    /// The identity.
    pub(crate) launch: Arc<Launch>,
    /// The program that a stop begins with, which has to be there.
    pub(crate) stop_command: Option<OsString>,
    /// Whether a stop ends descendants that have left the group, too.
    pub(crate) stop_detached: bool,
    pub(crate) oom_score_adj: OomScoreAdj,
    pub(crate) stop_signal: StopSignal,
    /// What the watchdog keeps locked, besides your program, until nothing of the instance is left.
    pub(crate) lock: Option<Arc<File>>,
}

impl Launcher for Processes {
    fn identity(&self) -> LaunchIdentity {
        self.launch.identity()
    }

    fn problems(&self, service: &str) -> Vec<Problem> {
        let mut problems = file_problems(&self.launch, service);
        let stop = self.stop_command.as_ref().map(Path::new);
        problems.extend(stop.and_then(|it| program_problem(it, service, "stopCommand")));
        problems
    }

    fn warnings(&self, service: &str) -> Vec<Problem> {
        file_warnings(&self.launch, service)
    }

    fn launch(
        &self,
        context: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        let processes = Self {
            lock: context.lock(),
            ..self.clone()
        };
        let output = context.output().clone();
        Box::pin(async move {
            let process = process::spawn(processes, output).await?;
            Ok(Box::new(process) as Box<dyn Running>)
        })
    }

    /// What the machine allowed at the first start: it is asked for each.
    fn guarantees(&self) -> Guarantees {
        static GUARANTEES: LazyLock<Guarantees> = LazyLock::new(process::guarantees);
        if self.launch.is_launcher {
            // What it starts is most often no descendant of this program.
            return Guarantees {
                finds_descendants: GUARANTEES.finds_descendants,
                ..Guarantees::default()
            };
        }
        *GUARANTEES
    }
}
