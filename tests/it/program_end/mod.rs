//! P15: when your program ends in any way, the servers that it owns end, too; and only then.

// Not on Windows: a job gives no grace.
#[cfg(unix)]
mod grace;
// Not on Windows, like the next but one: they look at a process group. `windows` has what is the same there.
#[cfg(unix)]
mod instants;
mod outlives;
#[cfg(unix)]
mod ways;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use std::os::unix::process::CommandExt as _;
use std::{
    process::{Child, Command, Stdio},
    sync::OnceLock,
    thread,
};

use tower_local_service::{Lease, LocalService, LocalServiceConfig, Registry};

use crate::support::{Fixture, PROGRAM, Pid, block_on, blocking_until};
#[cfg(unix)]
use crate::support::{group_of, members_of};

/// How the program ends, the base URL, and the arguments of the server, one a line.
const ORDERS: &str = "LOCAL_SERVICE_TEST_PROGRAM";

#[test]
#[ignore = "plays the program that ends, for the tests below"]
fn plays_the_program() {
    let orders = std::env::var(ORDERS).expect("a test runs it");
    let mut lines = orders.lines();
    let (end, url) = (lines.next().unwrap(), lines.next().unwrap());
    let config = LocalServiceConfig::new(PROGRAM).args(lines);
    let service = Registry::new().service("hosted", url, config).unwrap();
    let lease = block_on(service.acquire()).unwrap();
    match end {
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        #[cfg(unix)]
        "exec" => panic!("{}", Command::new("/bin/true").exec()),
        "leak" => {
            Box::leak(Box::new((service, lease)));
        }
        "static" => {
            static KEPT: OnceLock<(LocalService, Lease)> = OnceLock::new();
            KEPT.set((service, lease)).expect("it is empty");
        }
        "use" => loop {
            drop(block_on(service.acquire()).unwrap());
        },
        "panic" => panic!("while it owns a server"),
        "stop" => block_on(service.stop()).unwrap(),
        _ => loop {
            thread::park();
        },
    }
}

fn program(fixture: &Fixture, end: &str) -> Child {
    let mut orders = vec![end.to_owned(), fixture.base_url()];
    orders.extend(fixture.args().iter().cloned());
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "program_end::plays_the_program"])
        .env(ORDERS, orders.join("\n"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a program")
}

fn wait_for_server(fixture: &Fixture) -> Pid {
    assert!(
        blocking_until(|| !fixture.requests().is_empty()),
        "it is started and probed"
    );
    fixture.starts()[0]
}

#[cfg(unix)]
fn wait_for_start(fixture: &Fixture) -> (Pid, Pid) {
    let server = wait_for_server(fixture);
    (server, group_of(server).expect("a group"))
}

#[cfg(unix)]
fn assert_nothing_left(fixture: &Fixture, group: Pid) {
    assert!(
        blocking_until(|| fixture.alive().is_empty()),
        "{:?}",
        fixture.alive()
    );
    assert!(
        blocking_until(|| members_of(group).is_empty()),
        "{:?}",
        members_of(group)
    );
}

fn family() -> Fixture {
    Fixture::new()
        .flag("--ignore-term")
        .flag("--fork-grandchild")
        .flag("--grandchild-ignores-term")
}
