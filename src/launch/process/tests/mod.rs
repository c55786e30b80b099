//! Real child processes in real time. Whether a process is gone is shown by `/proc`, or by `ps` where there is none.
//! What only Linux has is tested only there: descendants that leave their group, whose a listener is, scores of memory.

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod detached;
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod family;
mod life;
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod listener;
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod oom;
mod output;
#[allow(
    dead_code,
    unused_imports,
    reason = "the integration tests use all of it"
)]
mod seen;
mod started;
mod stop;

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Signal, kill_process};
use tokio::time::{self, Instant};

use self::started::{Started, spawn};
use super::{family::Family, pid, *};
use crate::{
    launch::{InheritEnv, Launch, LaunchError, OomScoreAdj, OutputSink, StopSignal},
    secrets::Secrets,
};

const SHELL: &str = "/bin/sh";

fn processes(launch: Launch) -> Processes {
    Processes {
        launch: Arc::new(launch),
        stop_command: None,
        stop_detached: true,
        oom_score_adj: OomScoreAdj::Inherited,
        stop_signal: StopSignal::Term,
        lock: None,
    }
}

/// For processes that only the watchdog can end.
fn only_the_group(launch: Launch) -> Processes {
    Processes {
        stop_detached: false,
        ..processes(launch)
    }
}

/// Longer than anything takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

fn command(command: impl Into<PathBuf>, args: &[&str]) -> Launch {
    Launch {
        args: args.iter().map(Into::into).collect(),
        ..Launch::new(command.into())
    }
}

fn sh(script: &str) -> Launch {
    command("/bin/sh", &["-c", script])
}

/// This test binary, as a program that runs one of its `#[ignore]`d fixtures.
fn fixture(name: &str) -> Launch {
    let mut launch = command(
        env::current_exe().unwrap(),
        &["--ignored", "--exact", "--nocapture", name],
    );
    launch.env.insert("TEST_FIXTURE".into(), "1".into());
    launch
}

/// Whether a fixture was started by a test, and not by `cargo test -- --ignored`.
fn is_fixture() -> bool {
    env::var_os("TEST_FIXTURE").is_some()
}

fn sink() -> OutputSink {
    OutputSink::new("test", Arc::default())
}

async fn start(launch: Launch) -> Started {
    spawn(SHELL, processes(launch), sink()).await.unwrap()
}

/// Starts a script, and waits until it has written `up`.
async fn up(script: &str) -> Started {
    let process = start(sh(script)).await;
    said(&process, "up\n").await;
    process
}

/// What it wrote so far.
fn text(process: &Started) -> String {
    process.output.text(&Secrets::default())
}

async fn said(process: &Started, wanted: &str) {
    eventually(wanted, || text(process).contains(wanted)).await;
}

async fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        time::sleep(Duration::from_millis(5)).await;
    }
}

async fn within_limit<T>(future: impl Future<Output = T>) -> T {
    time::timeout(LIMIT, future)
        .await
        .expect("it takes too long")
}

/// Kills what a test has started, and checks that nothing is left.
async fn finish(mut process: Started) {
    let trace = Trace::of(&process);
    process.kill();
    within_limit(process.gone()).await;
    trace.assert_gone();
}

fn send(pid: u32, signal: Signal) {
    kill_process(pid::from_number(pid).unwrap(), signal).unwrap();
}

/// The living members of a process group.
fn members(group: u32) -> impl Iterator<Item = seen::Process> {
    let all = seen::all().into_iter();
    all.filter(move |it| it.group == group && it.is_alive())
}

/// What is needed to find what is left of an instance.
struct Trace {
    group: u32,
    leader: u32,
    family: Arc<Family>,
}

impl Trace {
    fn of(process: &Process) -> Self {
        Self {
            group: process.group.id(),
            leader: process.pid(),
            family: Arc::clone(process.sweep.family()),
        }
    }

    /// Whether a process lives that has the cookie or is in the group.
    fn has_survivors(&self) -> bool {
        // The leader is reaped last.
        let in_group = members(self.group).any(|it| it.pid != self.group);
        in_group || !self.family.living(false).is_empty()
    }

    fn is_reaped(&self) -> bool {
        [self.leader, self.group]
            .map(|pid| exit::peek(pid::from_number(pid).unwrap()))
            .iter()
            .all(|peek| *peek == exit::Peek::Lost)
    }

    /// For an instance whose `gone` has resolved.
    fn assert_gone(&self) {
        assert!(!self.has_survivors(), "something survived");
        assert!(self.is_reaped(), "a zombie is left");
    }

    /// For an instance that was dropped, or killed from outside.
    async fn vanishes(&self) {
        eventually("nothing survives", || !self.has_survivors()).await;
        eventually("no zombie is left", || self.is_reaped()).await;
    }
}

/// A directory that is removed in the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir =
            env::temp_dir().join(format!("tower-local-service-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
