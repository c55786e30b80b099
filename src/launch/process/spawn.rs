//! Starts an instance: the watchdog first, then the service into its group.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::{
    process::{Child, Command},
    runtime::Handle,
};
use tracing::{Dispatch, dispatcher};

use super::{
    Process, blocking,
    cookie::Cookie,
    detached::Sweep,
    family::Family,
    group::Group,
    os::{self, Cgroup},
    pid, pipes,
    stop::Survivors,
    watchdog::Watchdog,
};
use crate::{
    launch::{LaunchError, OutputSink, Processes},
    log::warn_once,
};

/// The shell that every Unix has, except in a few containers.
pub(super) const SHELL: &str = "/bin/sh";

/// Starts the service. The process belongs to the caller and to no thread or task: if the future is
/// dropped, nothing is left running.
///
/// # Errors
///
/// The system refused, or the current runtime has no I/O driver. Nothing is left running.
pub(super) async fn spawn(
    shell: &'static str,
    processes: Processes,
    output: OutputSink,
) -> Result<Process, LaunchError> {
    let no_runtime = |error| failed("service")(io::Error::other(error));
    let runtime = Handle::try_current().map_err(no_runtime)?;
    let start = Start {
        processes,
        output,
        runtime,
        dispatch: dispatcher::get_default(Clone::clone),
    };
    // Loading a program may block on a slow disk.
    let started = blocking::begin(move || start.run(shell)).map_err(failed("thread"))?;
    started
        .await
        .unwrap_or_else(|error| Err(failed("service")(io::Error::other(error))))
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> LaunchError {
    move |error| LaunchError::new(what, error)
}

struct Start {
    processes: Processes,
    output: OutputSink,
    runtime: Handle,
    dispatch: Dispatch,
}

impl Start {
    fn run(self, shell: &str) -> Result<Process, LaunchError> {
        let (dispatch, runtime) = (self.dispatch.clone(), self.runtime.clone());
        let _entered = runtime.enter();
        dispatcher::with_default(&dispatch, || self.start(shell))
    }

    fn start(self, shell: &str) -> Result<Process, LaunchError> {
        let _alone = alone();
        // Started before the service: whatever fails from here on, dropping the watchdog kills what was
        // started.
        let stop_detached = self.processes.stop_detached;
        let cgroup = stop_detached.then(Cgroup::new).flatten();
        let folder = cgroup.as_ref().map(Cgroup::folder);
        let lock = self.processes.lock.as_deref();
        let watchdog = Watchdog::start(shell, stop_detached, folder, lock);
        let watchdog = watchdog.map_err(failed("watchdog"))?;
        let cookie = Cookie::new();
        let group = watchdog
            .as_ref()
            .map_or(0, |one| one.pid().as_raw_nonzero().get());
        let (name, value) = cookie.variable();
        let mut command = self.processes.launch.to_command();
        command.env(name, value);
        let spawned = spawn_unless_busy(command.process_group(group)).and_then(with_pid);
        match spawned {
            Ok((leader, pid)) => {
                let cgroup = cgroup.filter(|it| it.add(pid::number(pid)));
                if let Some(watchdog) = &watchdog {
                    if let Some(leader) = os::descendant(pid::number(pid)) {
                        watchdog.tell_leader(leader);
                    }
                    watchdog.wait_until_armed();
                }
                Ok(self.process(leader, pid, watchdog, (cookie, cgroup)))
            }
            Err(error) => {
                if let Some(watchdog) = watchdog {
                    clean_up(watchdog);
                }
                Err(failed("service")(error))
            }
        }
    }

    fn process(
        self,
        mut leader: Child,
        pid: Pid,
        watchdog: Option<Watchdog>,
        (cookie, cgroup): (Cookie, Option<Cgroup>),
    ) -> Process {
        let (stdout, stderr) = (leader.stdout.take(), leader.stderr.take());
        let group = Group::new(leader, pid, watchdog);
        // Set only now, since no code of this crate runs between fork and exec. So the service may have
        // started other processes before this.
        let (group_id, adjust) = (group.id(), self.processes.oom_score_adj);
        if os::adjust_oom_score(group.leader_pid(), adjust) {
            drop(blocking::begin(move || {
                os::adjust_oom_scores(group_id, adjust);
            }));
        }
        warn_if_term_is_ignored();
        let pipes = pipes::read(stdout, stderr, &self.output, &self.runtime);
        let family = Family::new(cookie, group.leader_pid(), group.id(), cgroup);
        Process {
            sweep: Sweep::new(family, self.processes.stop_detached),
            stop_signal: Some(self.processes.stop_signal),
            is_launcher: self.processes.launch.is_launcher,
            survivors: Survivors::default(),
            group,
            pipes,
        }
    }
}

/// A program whose file is open for writing cannot be run. That is often soon over: an installer is
/// writing it, or a child that another thread has just started inherited the file.
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
    let pid = leader.id().and_then(pid::from_number);
    let pid = pid.ok_or_else(|| io::Error::other("the process has no number"))?;
    Ok((leader, pid))
}

/// Ends the watchdog of a service that could not be started; and the service, if it runs although
/// starting it failed (its pipes could not be registered). Blocks for milliseconds.
fn clean_up(mut watchdog: Watchdog) {
    // Not reaped yet, so no other group can have its number.
    let _ = kill_process_group(watchdog.pid(), Signal::KILL);
    watchdog.release();
    for _ in 0..100 {
        if watchdog.try_reap() {
            break;
        }
        thread::sleep(Duration::from_millis(2));
    }
    // No other code knows of the service, so it is reaped here.
    for _ in 0..100 {
        match waitpgid(watchdog.pid(), WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => thread::sleep(Duration::from_millis(2)),
            Err(_) => break,
        }
    }
}

/// Where a pipe cannot be created with close-on-exec in one step, a child that is started at that
/// moment inherits the lifeline of another instance. This lock keeps the crate's own children from that.
pub(in crate::launch) fn alone() -> Option<std::sync::MutexGuard<'static, ()>> {
    static SPAWNING: Mutex<()> = Mutex::new(());
    (!cfg!(all(target_os = "linux", not(tower_local_service_portable))))
        .then(|| SPAWNING.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Warns once if this thread blocks or ignores SIGTERM, which the service inherits. The thread is
/// inspected and not the service, because a process that creates a thread blocks all signals for a
/// moment.
fn warn_if_term_is_ignored() {
    if os::ignores_term("thread-self") {
        warn_once!(
            "SIGTERM is blocked or ignored in local services, as in this program when it started them: \
             they do not end when they are asked to, and are killed after `stopTimeoutMs`"
        );
    }
}
