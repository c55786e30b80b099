//! Several programs: what becomes of a container when its program is killed.

use std::{
    env,
    io::{self, BufRead as _, BufReader, Lines, Write as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use tower_local_service::{LocalService, LocalServiceConfig, Ownership, Phase};

use super::{answer, configured, container, containers, engine, inspect, service, url};
use crate::support::{Pid, ask, eventually, free_port, is_alive, kill, ms, within};

/// Another program, whose service has a lease on a container at this port.
struct Program {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Program {
    /// It has a container.
    fn with(port: u16, args: &[&str]) -> Self {
        let mut program = Self::begin(port, args);
        program.container();
        program
    }

    /// It may not have one yet.
    fn begin(port: u16, args: &[&str]) -> Self {
        let name = "containers::programs::plays_a_program_with_a_container";
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", name])
            .env("CONTAINER_PORT", port.to_string())
            .env("CONTAINER_ARGS", args.join(" "))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Waits until it has one: the id of that.
    fn container(&mut self) -> String {
        let said = |line: io::Result<String>| {
            let line = line.unwrap();
            line.split_once("has container ")
                .map(|(_, id)| id.to_owned())
        };
        self.lines.find_map(said).expect("a container")
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
#[ignore = "run by other tests"]
async fn plays_a_program_with_a_container() {
    let Ok(port) = env::var("CONTAINER_PORT") else {
        return;
    };
    let args = env::var("CONTAINER_ARGS").unwrap();
    let args: Vec<_> = args.split_whitespace().collect();
    let port = port.parse().unwrap();
    let service = service(port, container(&args));
    let _lease = service.acquire().await.unwrap();
    let mut stdout = io::stdout();
    writeln!(stdout, "has container {}", only(port).1).unwrap();
    stdout.flush().unwrap();
    std::future::pending::<()>().await;
}

/// The name of the only container at the port, and its id.
fn only(port: u16) -> (String, String) {
    let names = containers(port);
    assert_eq!(names.len(), 1, "{names:?}");
    let id = inspect(&names[0])["Id"].as_str().unwrap().to_owned();
    (names[0].clone(), id)
}

fn watchdog(name: &str) -> Pid {
    let found = inspect(name);
    let label = found["Config"]["Labels"]["tower-local-service.watchdog"].as_str();
    let (pid, _) = label.expect("a watchdog").split_once(':').unwrap();
    pid.parse().unwrap()
}

/// The id of a container whose program was killed, and which nothing has ended: as on a machine without `curl`.
async fn left_behind(port: u16) -> String {
    let mut program = Program::with(port, &[]);
    let (name, id) = only(port);
    let watchdog = watchdog(&name);
    kill(watchdog);
    eventually("its end", || !is_alive(watchdog)).await;
    program.kill();
    assert_eq!(only(port).1, id, "it outlives its program");
    id
}

async fn stop(service: &LocalService, port: u16) {
    within("the stop", service.stop()).await.unwrap();
    assert!(containers(port).is_empty());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_ends_with_its_program_that_was_killed() {
    let port = free_port();
    let mut program = Program::with(port, &[]);
    let (name, _) = only(port);
    let watchdog = watchdog(&name);
    program.kill();
    eventually("its end", || inspect(&name).is_null()).await;
    eventually("the end of its watchdog", || !is_alive(watchdog)).await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn the_watchdog_of_a_container_ends_with_it() {
    let port = free_port();
    let service = service(port, container(&[]));
    drop(within("ready", service.acquire()).await.unwrap());
    let watchdog = watchdog(&only(port).0);
    assert!(is_alive(watchdog));
    stop(&service, port).await;
    eventually("its end", || !is_alive(watchdog)).await;
}

/// A server that is deaf to SIGTERM: its watchdog needs two seconds and more.
#[tokio::test]
#[ignore = "needs an engine"]
async fn a_program_takes_over_no_container_that_is_about_to_be_ended() {
    let port = free_port();
    let args = ["--ignore-term"];
    let mut program = Program::with(port, &args);
    let (_, former) = only(port);
    let service = service(port, container(&args));
    program.kill();
    let lease = within("ready", service.acquire()).await.unwrap();
    let (name, id) = only(port);
    assert_ne!(id, former, "a container of its own");
    assert!(inspect(&former).is_null());
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    let (_, hello) = ask(&service, &url(port, "/hello")).await.unwrap();
    assert_eq!((hello.as_str(), service.status().starts), ("hello", 1));
    assert!(is_alive(watchdog(&name)), "with a watchdog of its own");
    drop(lease);
    answer("DELETE", &format!("/containers/{name}?force=1&v=1"));
    eventually("its end", || inspect(&name).is_null()).await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_that_was_left_behind_is_taken_over_and_stopped_when_idle() {
    let port = free_port();
    let id = left_behind(port).await;
    let idle = |config: LocalServiceConfig| config.idle_stop(ms(500));
    let service = configured(port, container(&[]), idle);
    let (_, hello) = ask(&service, &url(port, "/hello")).await.unwrap();
    assert_eq!(hello, "hello");
    let status = service.status();
    assert_eq!(status.ownership, Some(Ownership::Owned));
    let guarantees = status.guarantees.unwrap();
    assert!(!guarantees.dies_with_program, "it has no watchdog any more");
    assert!(!guarantees.has_grace, "nor what the watchdog gives it");
    assert_eq!(only(port).1, id, "it is the same container");
    eventually("stopped", || service.status().phase == Phase::Stopped).await;
    assert!(containers(port).is_empty());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn two_programs_use_one_container_and_the_second_starts_another_when_the_first_is_killed() {
    let port = free_port();
    let mut program = Program::with(port, &[]);
    let (_, id) = only(port);
    let service = service(port, container(&[]));
    let (_, pid) = ask(&service, &url(port, "/pid")).await.unwrap();
    assert_eq!(pid, "1", "the first process of a container");
    let ownership = service.status().ownership;
    assert!(
        matches!(ownership, Some(Ownership::External { .. })),
        "{ownership:?}"
    );
    assert_eq!(only(port).1, id);

    program.kill();
    eventually("its end", || inspect(&id).is_null()).await;
    // The first request may be the one that finds out.
    drop(ask(&service, &url(port, "/hello")).await);
    let (_, hello) = ask(&service, &url(port, "/hello")).await.unwrap();
    assert_eq!(hello, "hello");
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    assert_ne!(only(port).1, id);
    stop(&service, port).await;
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn two_programs_that_need_a_container_at_the_same_time_start_one() {
    let port = free_port();
    // Each begins long before the container of the other one is ready.
    let args = ["--delay-bind", "1000", "--loading", "1000"];
    let mut programs = [(); 2].map(|()| Program::begin(port, &args));
    let found = programs.each_mut().map(Program::container);
    let (_, id) = only(port);
    assert_eq!(found, [id.clone(), id]);
    for program in &mut programs {
        program.kill();
    }
    eventually("its end", || containers(port).is_empty()).await;
}

/// The best of the clients is `curl`: the others are tried here, each with what the watchdog of a container runs.
#[tokio::test]
#[ignore = "needs an engine and its clients"]
async fn without_curl_the_client_of_the_engine_ends_and_removes_the_container() {
    let is_podman = answer("GET", "/version").contains("Podman");
    let clients = ["docker", "podman"].into_iter();
    // That of Podman talks to Podman alone.
    for client in clients.take(if is_podman { 2 } else { 1 }) {
        let folders = ["/usr/bin", "/usr/local/bin"].map(|it| format!("{it}/{client}"));
        let path = folders.into_iter().find(|it| Path::new(it).exists());
        let path = path.expect("the client of an engine");
        let port = free_port();
        let id = left_behind(port).await;
        let mut shell = Command::new("/bin/sh")
            .arg("-c")
            .arg(include_str!("../../../src/launch/docker/lifeline.sh"))
            .args(["watchdog", &path, &engine()])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(shell.stdin.take().unwrap(), "{id}").unwrap();
        eventually("its end", || shell.try_wait().unwrap().is_some()).await;
        assert!(inspect(&id).is_null(), "{client}");
    }
}
