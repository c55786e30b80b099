//! Real servers that the crate starts, and a mark in their environment by which they are found.
//!
//! Their workers and other descendants have the mark, too, whatever their arguments are.
#![allow(
    dead_code,
    unused_imports,
    reason = "each kind of server uses a part of it"
)]

mod client;

use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use serde_json::{Value, json};
use tower_local_service::{LocalService, LocalServiceConfig, Registry};

pub(crate) use self::client::{Client, drain, kind_of};
use crate::support::{Pid, blocking_until, free_port, is_alive, kill};

const MARK: &str = "LOCAL_SERVICE_TEST";

/// The program that this environment variable names.
pub(crate) fn program(variable: &str) -> PathBuf {
    let program = std::env::var_os(variable).unwrap_or_default();
    assert!(!program.is_empty(), "{variable} names no program");
    PathBuf::from(program)
}

/// Prints what a test has measured; shown with `--nocapture`.
#[expect(clippy::print_stdout, reason = "it prints a measurement")]
pub(crate) fn measured(what: &str, took: Duration) {
    println!("measured: {what}: {} ms", took.as_millis());
}

/// The server of one test: its command, its port, and a folder.
///
/// Declare it before the services that run it. When it is dropped, no process of it may be left, and the
/// servers of a service end with its last handle.
#[derive(Debug)]
pub(crate) struct Server {
    command: PathBuf,
    port: u16,
    args: Vec<String>,
    folder: PathBuf,
}

impl Server {
    /// On a port of its own.
    pub(crate) fn new(command: impl Into<PathBuf>) -> Self {
        Self::on(free_port(), command)
    }

    /// On this port. It has another mark, and so another identity.
    pub(crate) fn on(port: u16, command: impl Into<PathBuf>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, next) = (std::process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(format!("local-service-real-{process}-{next}"));
        fs::create_dir_all(&folder).expect("a folder for the test");
        Self::found_by(folder, port, command)
    }

    /// The server of another program, which has the same folder.
    pub(crate) fn found_by(folder: PathBuf, port: u16, command: impl Into<PathBuf>) -> Self {
        Self {
            command: command.into(),
            port,
            args: Vec::new(),
            folder,
        }
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item: Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds the option `--port`, which nearly all servers have.
    pub(crate) fn with_port(self) -> Self {
        let port = self.port.to_string();
        self.args(["--port", &port])
    }

    pub(crate) fn command(&self) -> &Path {
        &self.command
    }

    /// The configuration that starts it.
    pub(crate) fn given_args(&self) -> &[String] {
        &self.args
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file into its folder.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder.join(name);
        fs::write(&path, content).expect("a file for the test");
        path.display().to_string()
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    pub(crate) fn config(&self) -> LocalServiceConfig {
        let (mark, value) = self.mark();
        LocalServiceConfig::new(&self.command)
            .args(self.args.clone())
            .env(mark, value)
            .ready_timeout(Duration::from_secs(60))
    }

    /// As a provider of a configuration file.
    pub(crate) fn provider(&self) -> Value {
        let (name, value) = self.mark();
        json!({
            "baseUrl": self.base_url(),
            "localService": {
                "command": self.command,
                "args": self.args,
                "env": { name: value },
            },
        })
    }

    pub(crate) fn service(&self, name: &str) -> LocalService {
        self.configured(name, self.config())
    }

    /// A service that lives as long as its handles.
    pub(crate) fn configured(&self, name: &str, config: LocalServiceConfig) -> LocalService {
        Registry::new()
            .service(name, self.base_url(), config)
            .expect("a configuration that works")
    }

    /// Starts it without the crate, as an external server.
    pub(crate) fn run_outside(&self) -> Outside {
        let mut command = Command::new(&self.command);
        let (mark, value) = self.mark();
        command.args(&self.args).env(mark, value);
        command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Outside(command.spawn().expect("it starts"))
    }

    /// All of its processes that run.
    pub(crate) fn alive(&self) -> Vec<Pid> {
        let (mark, value) = self.mark();
        let mark = format!("{mark}={value}");
        let marked = |pid: &Pid| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ
                .split(|byte| *byte == 0)
                .any(|it| it == mark.as_bytes())
        };
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| marked(pid) && is_alive(*pid))
            .collect()
    }

    /// Fails if a process of it runs: for the moment when a stop says that nothing is left.
    #[track_caller]
    pub(crate) fn assert_gone(&self) {
        let left = self.alive();
        assert!(left.is_empty(), "left behind: {left:?}");
        let listener = TcpListener::bind(("127.0.0.1", self.port));
        assert!(listener.is_ok(), "its port is not free: {listener:?}");
    }

    /// Whether no process of it runs or listens on its port. A process that is being torn down has no
    /// environment any more, but may still listen.
    pub(crate) fn is_gone(&self) -> bool {
        self.alive().is_empty() && TcpListener::bind(("127.0.0.1", self.port)).is_ok()
    }

    /// The environment variable with the mark, and its value.
    pub(crate) fn mark(&self) -> (&'static str, String) {
        (MARK, self.folder.display().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let gone = std::thread::panicking() || blocking_until(|| self.alive().is_empty());
        let left = self.alive();
        for pid in &left {
            kill(*pid);
        }
        drop(fs::remove_dir_all(&self.folder));
        assert!(gone, "left behind: {left:?}");
    }
}

/// A server that the crate did not start; ended when dropped.
#[derive(Debug)]
pub(crate) struct Outside(Child);

impl Outside {
    pub(crate) fn pid(&self) -> Pid {
        self.0.id()
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Looks a program up in `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path: OsString = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
