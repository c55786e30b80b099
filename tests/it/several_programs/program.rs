//! A program that obeys commands, one a line.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

#[cfg(unix)]
use rustix::process::Signal;
use tower_local_service::{BoxError, Lease, LocalService, LocalServiceConfig, Ownership, Registry};
use tracing_subscriber::{EnvFilter, fmt};

use crate::support::{Fixture, PATIENCE, PROGRAM, Pid, ask, blocking_until};
#[cfg(unix)]
use crate::support::{ms, signal};

/// The base URL, the idle time and the swap timeout in milliseconds, what the server needs of the [`CAPACITY`], and the
/// arguments of the server, one a line.
const ORDERS: &str = "LOCAL_SERVICE_TEST_SHARING_PROGRAM";
/// How much there is of what the servers need.
const CAPACITY: u64 = 24;
/// Names the folder in which programs share files.
const FOLDER: &str = if cfg!(windows) {
    "LOCALAPPDATA"
} else {
    "XDG_RUNTIME_DIR"
};
/// The workload that the program uses, in the place of the fixture.
#[cfg(all(feature = "kubernetes", unix))]
const WORKLOAD: &str = "LOCAL_SERVICE_TEST_WORKLOAD";
/// Begins the lines that are answers; all others are those of the test's runner.
const ANSWER: &str = "> ";

#[test]
#[ignore = "plays one of several programs, for the tests beside it"]
fn plays_a_program() {
    let orders = std::env::var(ORDERS).expect("it is run by a test");
    let mut lines = orders.lines();
    let url = lines.next().unwrap();
    let mut ms = || Duration::from_millis(lines.next().unwrap().parse().unwrap());
    let (idle_stop, swap_timeout) = (ms(), ms());
    let needs: u64 = lines.next().unwrap().parse().unwrap();
    let registry = Registry::new();
    registry.capacity("gpu0", CAPACITY);
    let config = started_by(lines)
        .idle_stop(idle_stop)
        .swap_timeout(swap_timeout)
        .turn(Duration::ZERO)
        .needs("gpu0", needs);
    let filter = EnvFilter::new("tower_local_service=debug");
    fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let service = registry.service("shared", url, config).unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut leases = Vec::new();
    let mut tables = Vec::new();
    for command in std::io::stdin().lines() {
        let command = command.unwrap();
        if command == "decide" {
            tables.push(locked_table());
        }
        let done = runtime.block_on(obey(&service, &command, &mut leases));
        let answer = done.unwrap_or_else(|error| format!("failed: {error}"));
        // Not by a macro, whose output the runner keeps to itself.
        writeln!(std::io::stdout(), "{ANSWER}{}", answer.replace('\n', " ")).unwrap();
    }
}

/// The fixture with these arguments, or the workload that the test names.
fn started_by<'a>(args: impl Iterator<Item = &'a str>) -> LocalServiceConfig {
    #[cfg(all(feature = "kubernetes", unix))]
    if let Ok(workload) = std::env::var(WORKLOAD) {
        return crate::kubernetes::named(&workload);
    }
    LocalServiceConfig::new(PROGRAM).args(args)
}

/// The lock of a program that decides who has resources, which programs have for microseconds.
fn locked_table() -> File {
    let folder = std::env::var_os(FOLDER).expect("a folder");
    let table = Path::new(&folder).join("tower-local-service/table");
    let table = File::options().read(true).write(true).open(table);
    let table = table.expect("programs have met");
    table.lock().expect("its lock");
    table
}

async fn obey(
    service: &LocalService,
    command: &str,
    leases: &mut Vec<Lease>,
) -> Result<String, BoxError> {
    let pid_url = service.base_url().to_string().replace("/v1", "/pid");
    match command.split_once(' ').unwrap_or((command, "")) {
        ("start", _) => service.start().await?,
        ("stop", _) => service.stop().await?,
        ("hold", _) => leases.push(service.acquire().await?),
        ("let-go", _) => leases.clear(),
        // Without an answer to it.
        ("ask-later", _) => {
            let service = service.clone();
            let asked = async move { service.acquire().await.map(drop) };
            drop(tokio::runtime::Handle::current().spawn(asked));
        }
        // `nothing` if it does not begin to wait.
        ("waits-for", _) => {
            let begun = tokio::time::Instant::now();
            loop {
                let waits_for = service.status().waits_for;
                if waits_for.is_some() || begun.elapsed() > PATIENCE {
                    return Ok(waits_for.unwrap_or_else(|| "nothing".to_owned()));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        ("waits", _) => return Ok(service.status().waits_for.is_some().to_string()),
        // From now on, until it ends.
        ("decide", _) => {}
        ("ownership", _) => {
            let external = matches!(service.status().ownership, Some(Ownership::External { .. }));
            return Ok(if external { "external" } else { "owned" }.to_owned());
        }
        ("port", _) => {
            let port = service.base_url().port_u16();
            return Ok(port.ok_or("it has none")?.to_string());
        }
        ("warm", times) => {
            for _ in 0..times.parse()? {
                drop(service.try_acquire().ok_or("it is not ready")?);
            }
            return Ok(format!("warm {times}"));
        }
        // So many at once; answers which servers did.
        ("ask", times) => {
            let requests = (0..times.parse()?).map(|_| {
                let (service, url) = (service.clone(), pid_url.clone());
                async move { ask(&service, &url).await }
            });
            let mut all = tokio::task::JoinSet::new();
            requests.for_each(|request| drop(all.spawn(request)));
            let mut pids = Vec::new();
            for answer in all.join_all().await {
                pids.push(answer?.1);
            }
            pids.sort_unstable();
            pids.dedup();
            return Ok(pids.join(" "));
        }
        _ => return Err(format!("what is {command:?}?").into()),
    }
    Ok("done".to_owned())
}

/// How a program is run.
pub(crate) struct Setup<'a> {
    pub(crate) server: &'a Fixture,
    /// Where it shares files with others.
    pub(crate) folder: PathBuf,
    pub(crate) idle_stop: Duration,
    pub(crate) swap_timeout: Duration,
    pub(crate) needs: u64,
    /// Each program chooses the port of the server.
    pub(crate) chooses_port: bool,
    /// What the programs use in the place of the fixture.
    #[cfg(all(feature = "kubernetes", unix))]
    pub(crate) workload: Option<String>,
}

impl<'a> Setup<'a> {
    pub(crate) fn of(server: &'a Fixture) -> Self {
        Self {
            server,
            folder: server.folder().to_owned(),
            idle_stop: Duration::ZERO,
            swap_timeout: Duration::from_secs(60),
            needs: 0,
            chooses_port: false,
            #[cfg(all(feature = "kubernetes", unix))]
            workload: None,
        }
    }

    /// The same files for another server.
    pub(super) fn beside(server: &'a Fixture, other: &Fixture) -> Self {
        Self {
            folder: other.folder().to_owned(),
            ..Self::of(server)
        }
    }

    /// What the programs have logged so far, for a test that fails.
    #[cfg(unix)]
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.server.path("program-log")).unwrap_or_default()
    }

    pub(crate) fn run(&self) -> Program {
        self.run_as(Command::new(std::env::current_exe().expect("this program")))
    }

    /// All system calls of the program go to that file.
    pub(super) fn run_traced(&self, file: &Path) -> Program {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o"]).arg(file);
        strace.arg(std::env::current_exe().expect("this program"));
        self.run_as(strace)
    }

    #[cfg(unix)]
    /// On a disk without room for another byte; `None` where none can be had.
    pub(super) fn run_on_full_disk(&self) -> Option<Program> {
        let fill = "mount -t tmpfs -o size=8k,mode=700 tmpfs \"$XDG_RUNTIME_DIR\" \
                    && { cat /dev/zero >\"$XDG_RUNTIME_DIR/filler\" 2>&-; true; }";
        let unshared = |script: &str| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--map-root-user", "sh", "-c", script, "sh"]);
            command
        };
        let mut tried = unshared(fill);
        let tried = tried.env("XDG_RUNTIME_DIR", &self.folder).output();
        if !tried.is_ok_and(|tried| tried.status.success()) {
            return None;
        }
        let mut command = unshared(&format!("{fill} && exec \"$@\""));
        command.arg(std::env::current_exe().expect("this program"));
        Some(self.run_as(command))
    }

    fn run_as(&self, mut command: Command) -> Program {
        let ms = |time: Duration| time.as_millis().to_string();
        let mut orders = vec![
            self.server.base_url(),
            ms(self.idle_stop),
            ms(self.swap_timeout),
            self.needs.to_string(),
        ];
        orders.extend(self.server.args().iter().cloned());
        if self.chooses_port {
            let port = self.server.port().to_string();
            let has_it = |order: &&mut String| **order == port || order.starts_with("http:");
            for order in orders.iter_mut().filter(has_it) {
                *order = order.replace(&port, "${port}");
            }
        }
        #[cfg(all(feature = "kubernetes", unix))]
        command.envs(self.workload.iter().map(|it| (WORKLOAD, it)));
        let log = self.server.path("program-log");
        let log = File::options().append(true).create(true).open(log);
        let mut child = command
            .args([
                "--ignored",
                "--exact",
                "several_programs::program::plays_a_program",
            ])
            .env(ORDERS, orders.join("\n"))
            .env(FOLDER, &self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("a program");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("a pipe"));
        Program {
            child,
            orders,
            answers,
        }
    }
}

/// A program process; it ends, and its servers with it, when dropped.
pub(crate) struct Program {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Program {
    /// Tells it to do something, and does not wait.
    pub(crate) fn begin(&mut self, order: &str) {
        let orders = self.orders.as_mut().expect("it runs");
        writeln!(orders, "{order}").expect("it reads");
    }

    /// Its next answer.
    pub(crate) fn answer(&mut self) -> String {
        let mut line = String::new();
        while self.answers.read_line(&mut line).expect("it answers") > 0 {
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("it ended without an answer");
    }

    pub(crate) fn does(&mut self, order: &str) -> String {
        self.begin(order);
        self.answer()
    }

    pub(crate) fn pid(&self) -> Pid {
        self.child.id()
    }

    /// Stops it by a signal, but not in the microseconds in which it decides who has resources, or looks whether its server
    /// is used: other programs would wait until it continues.
    #[cfg(unix)]
    pub(super) fn suspend(&self, folder: &Path) {
        let files = std::fs::read_dir(folder.join("tower-local-service"));
        let files = files.expect("programs share files");
        let paths = files.map(|file| file.expect("a file").path());
        let locked =
            |path: &PathBuf| path.ends_with("table") || path.extension() == Some("users".as_ref());
        let locks: Vec<_> = paths
            .filter(locked)
            .map(|path| File::open(path).expect("it is there"))
            .collect();
        let suspended = blocking_until(|| {
            signal(self.pid(), Signal::STOP);
            let has_none = (0..50).any(|_| {
                std::thread::sleep(ms(2));
                locks.iter().all(|file| {
                    let is_free = file.try_lock_shared().is_ok();
                    file.unlock().expect("a lock");
                    is_free
                })
            });
            if !has_none {
                signal(self.pid(), Signal::CONT);
            }
            has_none
        });
        assert!(suspended, "it has a lock whenever it is suspended");
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is a child of this program");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.orders = None;
        // A test that fails may leave it suspended, or waiting.
        #[cfg(unix)]
        signal(self.pid(), Signal::CONT);
        if !blocking_until(|| !matches!(self.child.try_wait(), Ok(None))) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
