//! Starts a run: the guardian first, then the service into its group.

use std::{
    io,
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, WaitOptions, waitpgid};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
};
use tracing::{Dispatch, dispatcher};

use super::{
    Process, blocking,
    group::Group,
    guardian::{Guardian, pid_of},
    os,
    output::{self, Output},
    stop::Search,
    strays::{Cookie, Strays},
};
use crate::config::{InheritEnv, Launch, OomScoreAdj};

/// The shell that every Unix has, but for a few containers.
const SHELL: &str = "/bin/sh";

/// How a run is looked after, whatever it runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Care {
    /// A stop also ends what has left the group.
    pub(crate) stop_detached: bool,
    pub(crate) oom_score_adj: OomScoreAdj,
}

/// Why nothing runs.
#[derive(Debug)]
pub(crate) enum SpawnError {
    /// The system refused.
    Os {
        /// What was to be started: `guardian` or `service`, or the `thread` that starts them.
        what: &'static str,
        error: io::Error,
    },
}

/// Starts the service. It belongs to the caller and to no thread or task: a caller that is dropped
/// meanwhile leaves nothing behind.
///
/// # Errors
///
/// The system refused, or the current runtime has no I/O driver. Nothing is left running then.
pub(crate) async fn spawn(
    launch: Arc<Launch>,
    output: Output,
    care: Care,
) -> Result<Process, SpawnError> {
    spawn_guarded_by(SHELL, launch, output, care).await
}

pub(super) async fn spawn_guarded_by(
    shell: &'static str,
    launch: Arc<Launch>,
    output: Output,
    care: Care,
) -> Result<Process, SpawnError> {
    let no_runtime = |error| failed("service")(io::Error::other(error));
    let runtime = Handle::try_current().map_err(no_runtime)?;
    let start = Start {
        launch,
        output,
        care,
        runtime,
        dispatch: dispatcher::get_default(Clone::clone),
    };
    // Loading a program may block on a slow disk.
    let started = blocking::begin(move || start.run(shell)).map_err(failed("thread"))?;
    started
        .await
        .unwrap_or_else(|error| Err(failed("service")(io::Error::other(error))))
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> SpawnError {
    move |error| SpawnError::Os { what, error }
}

struct Start {
    launch: Arc<Launch>,
    output: Output,
    care: Care,
    runtime: Handle,
    dispatch: Dispatch,
}

impl Start {
    fn run(self, shell: &str) -> Result<Process, SpawnError> {
        let (dispatch, runtime) = (self.dispatch.clone(), self.runtime.clone());
        let _entered = runtime.enter();
        dispatcher::with_default(&dispatch, || self.start(shell))
    }

    fn start(self, shell: &str) -> Result<Process, SpawnError> {
        let _alone = alone();
        // First, and owned before there is a service: whatever fails from here on, dropping it kills
        // what was started.
        let guardian = Guardian::start(shell).map_err(failed("guardian"))?;
        let cookie = Cookie::new();
        let group = guardian
            .as_ref()
            .map_or(0, |one| one.pid().as_raw_nonzero().get());
        let mut command = command(&self.launch, &cookie);
        let spawned = spawn_unless_busy(command.process_group(group)).and_then(with_pid);
        match spawned {
            Ok((leader, pid)) => {
                if let Some(guardian) = &guardian {
                    guardian.wait_until_up();
                }
                Ok(self.process(leader, pid, guardian, cookie))
            }
            Err(error) => {
                if let Some(guardian) = guardian {
                    clean_up(guardian);
                }
                Err(failed("service")(error))
            }
        }
    }

    fn process(
        self,
        mut leader: Child,
        pid: Pid,
        guardian: Option<Guardian>,
        cookie: Cookie,
    ) -> Process {
        let (stdout, stderr) = (leader.stdout.take(), leader.stderr.take());
        let group = Group::new(leader, pid, guardian);
        // Nothing of ours runs between fork and exec: it may have started others before this.
        let (group_id, adjust) = (group.id(), self.care.oom_score_adj);
        if os::adjust_oom_score(group.leader_pid(), adjust) {
            drop(blocking::begin(move || {
                os::adjust_oom_scores(group_id, adjust);
            }));
        }
        warn_if_deaf();
        let (tail, pipes) =
            output::drain(stdout, stderr, self.output, &self.dispatch, &self.runtime);
        Process {
            search: Search::new(group.id(), self.care.stop_detached),
            group,
            strays: Arc::new(Strays::new(cookie)),
            tail,
            pipes,
            settled_by: None,
        }
    }
}

fn command(launch: &Launch, cookie: &Cookie) -> Command {
    let mut command = Command::new(&launch.command);
    command
        .args(&launch.args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(cwd) = &launch.cwd {
        command.current_dir(cwd);
    }
    if let InheritEnv::Only(names) = &launch.inherit_env {
        let host = |name: &String| Some((name.clone(), std::env::var_os(name)?));
        command.env_clear().envs(names.iter().filter_map(host));
    }
    let (name, value) = cookie.variable();
    command.envs(&launch.env).env(name, value);
    command
}

/// A program that somebody is still writing cannot be run: an installer, or another thread's child
/// that has inherited the file for a moment.
fn spawn_unless_busy(command: &mut Command) -> io::Result<Child> {
    for pause in [1, 5, 20, 50, 100].map(Duration::from_millis) {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(pause);
            }
            spawned => return spawned,
        }
    }
    command.spawn()
}

fn with_pid(leader: Child) -> io::Result<(Child, Pid)> {
    let pid = leader.id().and_then(pid_of);
    let pid = pid.ok_or_else(|| io::Error::other("the process has no number"))?;
    Ok((leader, pid))
}

/// Ends a guardian that has nothing to guard, or a service that runs although spawning it failed
/// (its pipes could not be registered). May block for a moment.
fn clean_up(mut guardian: Guardian) {
    guardian.release();
    for _ in 0..100 {
        if guardian.try_reap() {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    // Nobody else knows of the service.
    for _ in 0..100 {
        match waitpgid(guardian.pid(), WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => thread::sleep(Duration::from_millis(2)),
            Err(_) => break,
        }
    }
}

/// Where a pipe cannot be made close-on-exec in one step, a process that is started meanwhile
/// inherits the lifeline of another. At least none of ours does.
fn alone() -> Option<std::sync::MutexGuard<'static, ()>> {
    static SPAWNING: Mutex<()> = Mutex::new(());
    (!cfg!(target_os = "linux")).then(|| SPAWNING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What a service inherits of the thread that starts it. It is not looked at itself: while it starts a
/// thread, it blocks all signals for an instant.
fn warn_if_deaf() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if os::deaf_to_term("thread-self") && !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            target: "tower_local_service",
            "SIGTERM is blocked or ignored in local services, as in this program when it started \
             them: they will be killed after `stopTimeoutMs` instead of ending in peace"
        );
    }
}
