//! Stops of servers that can be asked to end. Wine has no Ctrl-Break, so here a file asks, for which the server looks.

use std::{
    env,
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    thread,
};

use tokio::time::Instant;

use super::*;
use crate::{
    LocalService, LocalServiceConfig, Registry,
    launch::{Launch, LaunchContext, LaunchIdentity, Launcher, OomScoreAdj, StopSignal},
    machine::{Event, Exited},
    secrets::Secrets,
};

/// Longer than anything takes, even by Wine on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Long enough for what does not wait.
const A_WHILE: Duration = Duration::from_millis(700);

/// With which a server ends that was asked to.
const HEEDED: i32 = 7;
/// With which the job ends its processes.
const KILLED: i32 = 1;

const ROLE: &str = "TEST_ROLE";
const PORT: &str = "TEST_PORT";

/// The file that asks the process of that number.
fn asking(pid: u32) -> PathBuf {
    env::temp_dir().join(format!("local-service-asked-{pid}"))
}

fn ask_by_file(pid: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).open(asking(pid))?;
    file.write_all(b"asked\n")
}

fn fail_to_ask(_: u32) -> io::Result<()> {
    Err(io::Error::other("no console"))
}

/// How often the process of that number was asked.
fn times_asked(pid: u32) -> usize {
    let asked = fs::read_to_string(asking(pid)).unwrap_or_default();
    drop(fs::remove_file(asking(pid)));
    asked.lines().count()
}

/// Another life of this program: one that heeds a question, one that is deaf, or one that heeds and has a child that is deaf.
#[test]
#[ignore = "plays the servers of the tests below"]
fn plays_a_server() {
    let Ok(role) = env::var(ROLE) else { return };
    // One that asked an earlier process of this number.
    drop(fs::remove_file(asking(std::process::id())));
    if let Ok(port) = env::var(PORT) {
        serve(port.parse().expect("a port"));
    }
    let child = (role == "parent").then(|| {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(env::args_os().skip(1)).env(ROLE, "deaf");
        child.stdin(Stdio::null()).spawn().expect("a child")
    });
    // The child of one says it for both.
    if child.is_none() {
        drop(io::stdout().write_all(b"up.\n"));
    }
    let begun = Instant::now();
    while begun.elapsed() < LIMIT * 3 {
        if role != "deaf" && asking(std::process::id()).exists() {
            std::process::exit(HEEDED);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
            let head = lines.take_while(|line| line.as_ref().is_ok_and(|it| !it.is_empty()));
            head.for_each(drop);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            drop(stream.write_all(answer));
        }
    });
}

fn server(role: &str) -> Processes {
    let mut launch = Launch::new(env::current_exe().unwrap());
    let this = "launch::process::tests::plays_a_server";
    let args = ["--ignored", "--exact", "--nocapture", this];
    launch.args = args.map(Into::into).to_vec();
    launch.env.insert(ROLE.into(), role.into());
    Processes {
        launch: Arc::new(launch),
        stop_command: None,
        stop_detached: true,
        oom_score_adj: OomScoreAdj::Inherited,
        stop_signal: StopSignal::Term,
        lock: None,
    }
}

/// Starts one, and waits until it and its child run.
async fn start(role: &str, ask: Option<Ask>) -> Process {
    let output = OutputSink::new("test", Arc::default());
    let mut process = spawn(server(role), output.clone()).await.unwrap();
    process.ask = ask;
    let begun = Instant::now();
    while !output.text(&Secrets::default()).contains("up.") {
        assert!(begun.elapsed() < LIMIT, "it does not start");
        time::sleep(Duration::from_millis(5)).await;
    }
    process
}

async fn within_limit<T>(future: impl Future<Output = T>) -> T {
    let in_time = time::timeout(LIMIT, future).await;
    in_time.expect("it takes too long")
}

#[tokio::test]
async fn a_server_that_heeds_a_stop_ends_by_itself() {
    let mut process = start("heeds", Some(ask_by_file)).await;
    process.stop();
    assert!(!process.is_killed);
    let exit = within_limit(process.exited()).await;
    assert_eq!(exit.code, Some(HEEDED));
    within_limit(process.gone()).await;
    assert_eq!(times_asked(process.pid), 1);
}

#[tokio::test]
async fn a_server_that_is_deaf_to_a_stop_runs_until_it_is_killed() {
    let mut process = start("deaf", Some(ask_by_file)).await;
    for _ in 0..2 {
        process.stop();
        time::timeout(A_WHILE, process.exited()).await.unwrap_err();
        assert!(process.is_alive());
    }
    process.kill();
    let exit = within_limit(process.exited()).await;
    assert_eq!(exit.code, Some(KILLED));
    within_limit(process.gone()).await;
    assert_eq!(times_asked(process.pid), 2);
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_is_killed_at_once() {
    for ask in [None, Some(fail_to_ask as Ask)] {
        let mut process = start("deaf", ask).await;
        process.stop();
        let exit = within_limit(process.exited()).await;
        assert_eq!(exit.code, Some(KILLED));
        within_limit(process.gone()).await;
    }
}

#[tokio::test]
async fn what_a_server_leaves_behind_with_its_output_is_waited_for_and_then_killed() {
    let mut process = start("parent", Some(ask_by_file)).await;
    process.stop();
    let exit = within_limit(process.exited()).await;
    assert_eq!(exit.code, Some(HEEDED), "its child does not keep it");
    time::timeout(A_WHILE, process.gone()).await.unwrap_err();
    process.kill();
    within_limit(process.gone()).await;
    // Nothing writes to the pipes any more.
    within_limit(process.pipes.ended()).await;
    times_asked(process.pid);
}

/// Starts servers that a file asks to end.
struct Asked(Processes);

impl Launcher for Asked {
    fn identity(&self) -> LaunchIdentity {
        self.0.identity()
    }

    fn launch(
        &self,
        context: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        let (processes, output) = (self.0.clone(), context.output().clone());
        Box::pin(async move {
            let mut process = spawn(processes, output).await?;
            process.ask = Some(ask_by_file);
            Ok(Box::new(process) as Box<dyn Running>)
        })
    }
}

fn service(role: &str, stop_timeout: Duration) -> LocalService {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let mut server = server(role);
    let mut launch = Launch::clone(&server.launch);
    launch.env.insert(PORT.into(), port.to_string().into());
    server.launch = Arc::new(launch);
    let config = LocalServiceConfig::launched_by(Asked(server)).stop_timeout(stop_timeout);
    let url = format!("http://127.0.0.1:{port}/v1");
    Registry::new().service(role, url, config).unwrap()
}

/// The code with which its server has ended.
fn code_of(service: &LocalService) -> Option<i32> {
    let codes = service
        .journal()
        .into_iter()
        .filter_map(|it| match it.event {
            Event::Exited(Exited { code, .. }) => Some(code),
            _ => None,
        });
    codes.last().expect("it has ended")
}

#[tokio::test]
async fn a_stop_lets_a_server_end_in_order() {
    let service = service("heeds", LIMIT);
    within_limit(service.start()).await.unwrap();
    let pid = service.status().pid.expect("it runs");
    within_limit(service.stop()).await.unwrap();
    assert_eq!(code_of(&service), Some(HEEDED));
    assert_eq!(times_asked(pid), 1);
}

#[tokio::test]
async fn a_stop_asks_a_deaf_server_twice_and_ends_its_job_after_the_grace() {
    let grace = Duration::from_secs(1);
    let service = service("deaf", grace);
    within_limit(service.start()).await.unwrap();
    let pid = service.status().pid.expect("it runs");
    let begun = Instant::now();
    within_limit(service.stop()).await.unwrap();
    assert!(begun.elapsed() >= grace);
    assert_eq!(code_of(&service), Some(KILLED));
    assert_eq!(times_asked(pid), 2);
}
