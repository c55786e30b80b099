//! What is under way: the process, its spawn, a probe.

use std::{future::Future, time::Duration};

use tokio::task::JoinSet;
use tracing::instrument::WithSubscriber as _;

use super::waits::{Pending, Probe, Spawned, Woken, pending};
use crate::{
    launch::{Exit, Guarantees, Holder, LaunchError, Look, OutputSink, Running},
    probe::Answer,
};

pub(super) struct Work {
    pub(super) process: Option<Box<dyn Running>>,
    pub(super) guarantees: Option<Guarantees>,
    /// What the last process wrote, or one that is being started.
    pub(super) output: Option<OutputSink>,
    /// The machine knows how the process has ended.
    pub(super) exit_known: bool,
    pub(super) spawn: Option<Pending<Spawned>>,
    pub(super) probe: Option<Pending<Probe>>,
    /// The ready request.
    pub(super) ready_request: Option<Pending<Answer>>,
    /// The stop command. Dropped, it is killed.
    pub(super) stop_command: Option<Pending<Result<Exit, LaunchError>>>,
    /// A connection to the address, to see whether it refuses.
    pub(super) knock: Option<Pending<bool>>,
    /// A look at the use of the port.
    pub(super) last_use: Option<Pending<Option<Duration>>>,
    /// A look for the process of an external server.
    pub(super) holder: Option<Pending<Option<Holder>>>,
    /// A look at the processes of an instance that does not become ready or does not end.
    pub(super) look: Option<Pending<Look>>,
    /// Continues beside the events, and answers callers itself.
    background: JoinSet<()>,
}

impl Work {
    pub(super) fn new() -> Self {
        Self {
            process: None,
            guarantees: None,
            output: None,
            exit_known: false,
            spawn: None,
            probe: None,
            ready_request: None,
            stop_command: None,
            knock: None,
            last_use: None,
            holder: None,
            look: None,
            background: JoinSet::new(),
        }
    }

    /// An exit comes before what a probe saw at the same time. Cancel safe.
    pub(super) async fn next(&mut self) -> Woken {
        let Self {
            process,
            exit_known,
            spawn,
            probe,
            ready_request,
            stop_command,
            knock,
            last_use,
            holder,
            look,
            ..
        } = self;
        tokio::select! {
            biased;
            woken = of_process(process.as_mut(), *exit_known) => woken,
            spawned = pending(spawn.as_mut()) => Woken::Spawned(spawned),
            probed = pending(probe.as_mut()) => Woken::Probed(probed),
            answer = pending(ready_request.as_mut()) => Woken::ReadyRequested(answer),
            exit = pending(stop_command.as_mut()) => Woken::StopCommandEnded(exit),
            refused = pending(knock.as_mut()) => Woken::Knocked(refused),
            before = pending(last_use.as_mut()) => Woken::Used(before),
            found = pending(holder.as_mut()) => Woken::FoundHolder(found),
            look = pending(look.as_mut()) => Woken::Looked(look),
        }
    }

    /// Whether the process has ended, and how is not known yet.
    pub(super) fn has_ended(&mut self) -> bool {
        !self.exit_known && self.process.as_mut().is_some_and(|it| !it.is_alive())
    }

    pub(super) fn in_background(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        while self.background.try_join_next().is_some() {}
        // Its events go to the subscriber of the task.
        self.background.spawn(task.with_current_subscriber());
    }
}

async fn of_process(process: Option<&mut Box<dyn Running>>, exit_known: bool) -> Woken {
    match process {
        Some(process) if exit_known => {
            process.gone().await;
            Woken::Gone
        }
        Some(process) => Woken::Exited(process.exited().await),
        None => std::future::pending().await,
    }
}
