//! R12: two programs with the same fifty servers, whose ports each one chooses by itself.

use std::{
    fs,
    io::Read as _,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};
use tower_local_service::{LocalService, LocalServiceConfig, Registry};

use crate::support::{Fixture, PROGRAM, Pid, ask, is_alive};

const COUNT: usize = 50;
/// The arguments of each server, in JSON.
const SERVERS: &str = "LOCAL_SERVICE_TEST_FIFTY_SERVERS";
/// Where the program writes what it has seen of each: the port, and the process that answers there.
const SEEN: &str = "LOCAL_SERVICE_TEST_FIFTY_SEEN";
/// For fifty starts at once, on a machine that has other things to do.
const LONG: Duration = Duration::from_secs(100);

#[test]
#[ignore = "plays one of two programs, for the test beside it"]
fn plays_a_program_with_fifty_servers() {
    let servers = std::env::var(SERVERS).expect("it is run by a test");
    let servers: Vec<Vec<String>> = serde_json::from_str(&servers).unwrap();
    let registry = Registry::new();
    let services = servers.into_iter().map(|args| {
        let config = LocalServiceConfig::new(PROGRAM).args(args);
        let url = "http://127.0.0.1:${port}/v1";
        registry.service("one of fifty", url, config).unwrap()
    });
    let services: Vec<_> = services.collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let seen = runtime.block_on(look(&services));
    let path = std::env::var(SEEN).unwrap();
    fs::write(format!("{path}.new"), serde_json::to_string(&seen).unwrap()).unwrap();
    fs::rename(format!("{path}.new"), path).unwrap();
    // Until the test has seen enough.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

async fn look(services: &[LocalService]) -> Vec<(u16, String)> {
    let mut requests = JoinSet::new();
    for (nth, service) in services.iter().cloned().enumerate() {
        let port = service.base_url().port_u16().unwrap();
        requests.spawn(async move {
            let answer = ask(&service, &format!("http://127.0.0.1:{port}/pid")).await;
            let pid = answer.map_or_else(|error| error.to_string(), |(_, pid)| pid);
            (nth, (port, pid))
        });
    }
    let mut seen = requests.join_all().await;
    seen.sort_unstable();
    seen.into_iter().map(|(_, seen)| seen).collect()
}

/// The program, and where it writes what it has seen.
fn run(fixtures: &[Fixture], name: &str) -> (Child, String) {
    let servers = fixtures.iter().map(|fixture| {
        let port = fixture.port().to_string();
        let args = fixture.args().iter();
        let args = args.map(|it| if *it == port { "${port}" } else { it });
        args.collect::<Vec<_>>()
    });
    let servers: Vec<_> = servers.collect();
    let seen = fixtures[0].path(name);
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact"])
        .arg("several_programs::fifty::plays_a_program_with_fifty_servers")
        .env(SERVERS, serde_json::to_string(&servers).unwrap())
        .env(SEEN, &seen)
        .env("XDG_RUNTIME_DIR", fixtures[0].folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn();
    (child.expect("a program"), seen)
}

fn read(path: &str) -> Vec<(u16, String)> {
    let begun = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(path) {
            return serde_json::from_str(&text).unwrap();
        }
        assert!(begun.elapsed() < LONG, "it has seen nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn two_programs_with_fifty_servers_have_one_process_of_each() {
    let fixtures: Vec<_> = (0..COUNT).map(|_| Fixture::new()).collect();
    let mut programs = [run(&fixtures, "one"), run(&fixtures, "other")];
    let [one, other] = programs.each_ref().map(|(_, seen)| read(seen));
    let mut agreed = 0;
    for (fixture, (one, other)) in fixtures.iter().zip(one.iter().zip(&other)) {
        assert!((20_000..30_000).contains(&one.0), "{one:?}");
        if one.0 != other.0 {
            // Something had the port when one of them looked.
            continue;
        }
        let [pid]: [Pid; 1] = fixture.starts()[..].try_into().unwrap_or_else(|_| {
            panic!("{one:?} and {other:?}: {:?}", fixture.starts());
        });
        let pid_text = pid.to_string();
        assert_eq!((&one.1, &other.1), (&pid_text, &pid_text));
        assert!(is_alive(pid));
        agreed += 1;
    }
    assert!(agreed >= COUNT * 9 / 10, "{agreed} have one port in both");
    for (program, _) in &mut programs {
        drop(program.stdin.take());
        program.wait().expect("it ends");
    }
}
