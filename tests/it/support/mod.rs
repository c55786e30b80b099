//! What all tests need: ports, servers, waiting, and a look at the processes that are left.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

#[cfg(unix)]
mod alone;
mod amount;
mod client;
mod events;
mod examples;
#[cfg(unix)]
pub(crate) mod gateway;
mod http;
mod journals;
#[cfg(unix)]
mod processes;
mod resource;
#[cfg(unix)]
mod terminal;
mod waiting;
#[cfg(windows)]
mod windows_processes;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use tower_local_service::{Error, ErrorKind, LocalService, LocalServiceConfig, Registry};

#[cfg(target_os = "linux")]
pub(crate) use self::processes::status;
#[cfg(windows)]
pub(crate) use self::windows_processes::{Pid, is_alive, kill, processes_with};
#[cfg(unix)]
pub(crate) use self::{
    alone::{alone, alone_with, can, shake_off_tracer},
    processes::{
        Pid, children_of, group_of, ignores, is_alive, is_suspended, kill, members_of,
        processes_with, signal,
    },
    terminal::terminal,
    waiting::processor_time,
};
pub(crate) use self::{
    amount::amount,
    client::{ask, send},
    events::Events,
    examples::example,
    http::{Answer, get, get_with},
    journals::{lines, print_if_it_fails},
    resource::Resource,
    waiting::{
        PATIENCE, block_on, blocking_until, eventually, ms, now, since, two_workers, until,
        waiting, within,
    },
};

/// A port on which no process listens, and that no other test of this process gets.
///
/// It is below the ephemeral range, from which the kernel takes the ports of clients. So no connection of
/// another test can take it before the server starts. It is none of those that the crate chooses either.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = std::process::id() % 20_000;
    loop {
        let step = u32::from(NEXT.fetch_add(1, Relaxed));
        let port = u16::try_from(10_000 + (first * 37 + step) % 10_000).expect("it is below 20000");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether the system tells who listens on a port.
pub(crate) const SEES_LISTENERS: bool =
    cfg!(all(target_os = "linux", not(tower_local_service_portable)));

/// The binary of the server with faults.
pub(crate) const PROGRAM: &str = {
    let built = env!("CARGO_BIN_EXE_fixture");
    // Built on a Unix for Windows, and run there by Wine, to which `/` is the disk `Z:`.
    if cfg!(windows) && built.as_bytes()[0] == b'/' {
        concat!("Z:", env!("CARGO_BIN_EXE_fixture"))
    } else {
        built
    }
};

/// The server of one test: its port, its arguments, and a folder for the files that it writes.
///
/// Declare it before the services that run it. When it is dropped, no process of it may be left, and the
/// servers of a service end with its last handle.
#[derive(Debug)]
pub(crate) struct Fixture {
    port: u16,
    folder: PathBuf,
    args: Vec<String>,
    audited: bool,
}

impl Fixture {
    /// On a port of its own.
    pub(crate) fn new() -> Self {
        Self::on(free_port())
    }

    /// On this port. Another folder, or other flags, make another identity.
    pub(crate) fn on(port: u16) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "local-service-it-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Relaxed)
        );
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder for the test");
        let fixture = Self {
            port,
            folder,
            args: Vec::new(),
            audited: true,
        };
        let (port, starts) = (port.to_string(), fixture.path("starts"));
        let (requests, grandchildren) = (fixture.path("requests"), fixture.path("grandchildren"));
        fixture
            .with("--port", &port)
            .with("--starts-file", &starts)
            .with("--requests-file", &requests)
            .with("--grandchild-file", &grandchildren)
            .with("--max-life", "90000")
    }

    /// Adds a switch.
    pub(crate) fn flag(mut self, name: &str) -> Self {
        self.args.push(name.to_owned());
        self
    }

    /// Adds a flag that takes a value.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers and texts alike, as they come"
    )]
    pub(crate) fn with(self, name: &str, value: impl ToString) -> Self {
        self.flag(name).flag(&value.to_string())
    }

    /// Records each TERM that it receives, and exits on the first.
    pub(crate) fn notes_signals(self) -> Self {
        let signals = self.path("signals");
        self.with("--signals-file", signals)
    }

    /// For tests that leave processes on purpose.
    pub(crate) fn unaudited(mut self) -> Self {
        self.audited = false;
        self
    }

    pub(crate) fn args(&self) -> &[String] {
        &self.args
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// A file in the folder of this fixture.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The fixture with its flags, and with short times.
    pub(crate) fn config(&self) -> LocalServiceConfig {
        LocalServiceConfig::new(PROGRAM)
            .args(self.args.clone())
            .ready_timeout(PATIENCE)
            .stop_timeout(Duration::from_secs(10))
    }

    /// A service that lives as long as its handles.
    pub(crate) fn service(&self, name: &str) -> LocalService {
        self.configured(name, self.config())
    }

    pub(crate) fn configured(&self, name: &str, config: LocalServiceConfig) -> LocalService {
        self.try_configured(name, config)
            .expect("a configuration that works")
    }

    pub(crate) fn try_configured(
        &self,
        name: &str,
        config: LocalServiceConfig,
    ) -> Result<LocalService, Error> {
        print_if_it_fails(name, &self.base_url(), &config);
        Registry::new().service(name, self.base_url(), config)
    }

    /// Starts it without the crate, as an external server, and waits until it listens.
    pub(crate) fn run_outside(&self) -> Outside {
        let outside = self.spawn_outside();
        let connects = || std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        assert!(blocking_until(connects), "the fixture listens");
        outside
    }

    /// The same without waiting.
    pub(crate) fn spawn_outside(&self) -> Outside {
        let mut command = Command::new(PROGRAM);
        command.args(&self.args).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Outside(command.spawn().expect("the fixture starts"))
    }

    /// The pids of all starts, oldest first.
    pub(crate) fn starts(&self) -> Vec<Pid> {
        self.lines("starts")
            .iter()
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    pub(crate) fn grandchildren(&self) -> Vec<Pid> {
        self.lines("grandchildren")
            .iter()
            .filter_map(|line| line.parse().ok())
            .collect()
    }

    /// `METHOD path` of each request that it has read.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.lines("requests")
    }

    /// Records its life: see `lives`.
    pub(crate) fn notes_its_life(self) -> Self {
        let life = self.path("life");
        self.with("--life-file", life)
    }

    /// From when to when each process of it has run, by its own account, on the clock that all processes share.
    /// A TERM has ended each of them.
    pub(crate) fn lives(&self) -> Vec<(Duration, Duration)> {
        let stamps = self.lines("life");
        let stamps = stamps.iter().map(|line| {
            let (what, at) = line.split_once(' ').expect("a stamp");
            (what, Duration::from_nanos(at.parse().expect("a time")))
        });
        let stamps: Vec<_> = stamps.collect();
        let life = |pair: &[(&str, Duration)]| match pair {
            [("start", start), ("end", end)] => (*start, *end),
            other => panic!("two processes at once, or one that was killed: {other:?}"),
        };
        stamps.chunks(2).map(life).collect()
    }

    /// When it received each TERM, on the clock that all processes share.
    pub(crate) fn terms(&self) -> Vec<Duration> {
        self.lines("signals")
            .iter()
            .filter_map(|line| line.strip_prefix("TERM ")?.parse().ok())
            .map(Duration::from_nanos)
            .collect()
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) async fn get(&self, path: &str) -> std::io::Result<Answer> {
        get(self.port, path).await
    }

    /// All processes of this fixture that run: servers, wrappers and grandchildren.
    pub(crate) fn alive(&self) -> Vec<Pid> {
        // With the end of its name, as `1` is also the beginning of `10`.
        let mut alive = processes_with(&self.folder.join("").display().to_string());
        let grandchildren = self.grandchildren();
        // A look may cost a process.
        if !grandchildren.is_empty() {
            let still = processes_with("--grandchild");
            alive.extend(grandchildren.iter().filter(|pid| still.contains(pid)));
        }
        alive.sort_unstable();
        alive.dedup();
        alive
    }

    /// Waits until no process of it runs; fails if one is left.
    pub(crate) async fn is_gone(&self) {
        eventually("nothing of the fixture is left", || self.alive().is_empty()).await;
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        let mut left = self.alive();
        let is_over = failing || !self.audited || left.is_empty();
        let gone = is_over
            || blocking_until(|| {
                left = self.alive();
                left.is_empty()
            });
        for pid in &left {
            kill(*pid);
        }
        drop(fs::remove_dir_all(&self.folder));
        assert!(gone, "left behind: {left:?}");
    }
}

/// Whether it says that a process was killed as by `kill`. On Windows that is an exit code, which is 0 under Wine, and may
/// be known there later than that its connections have ended.
pub(crate) fn is_kill(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::Exited { code, .. } if cfg!(windows) => matches!(code, None | Some(0 | 1)),
        ErrorKind::Exited { signal, .. } => *signal == Some(9),
        _ => false,
    }
}

/// Whether it says that a process has aborted.
pub(crate) fn is_abort(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::Exited { code, .. } if cfg!(windows) => code.is_some_and(|code| code != 0),
        ErrorKind::Exited { signal, .. } => *signal == Some(6),
        _ => false,
    }
}

/// A fixture that the crate did not start; ended when dropped.
#[derive(Debug)]
pub(crate) struct Outside(Child);

impl Outside {
    pub(crate) fn pid(&self) -> Pid {
        self.0.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&self) -> bool {
        is_alive(self.0.id())
    }

    pub(crate) fn end(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.end();
    }
}
