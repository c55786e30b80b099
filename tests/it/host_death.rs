//! P15: when the host ends in whatever way, what it owns ends too; and only then.

use std::{
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tokio::runtime;
use tower_local_service::{LocalService, LocalServiceConfig, Registry};

use crate::support::{
    Fixture, PROGRAM, Pid, block_on, blocking_until, group_of, is_alive, members_of, ms, now, since,
};

/// How the host is to end, the base URL and the arguments of the server, one a line.
const ORDERS: &str = "LOCAL_SERVICE_TEST_HOST";

#[test]
#[ignore = "plays the host that ends, for the tests below"]
fn plays_the_host() {
    let orders = std::env::var(ORDERS).expect("it is run by a test");
    let mut lines = orders.lines();
    let (end, url) = (lines.next().unwrap(), lines.next().unwrap());
    let config = LocalServiceConfig::new(PROGRAM).args(lines);
    let service = Registry::new().service("hosted", url, config).unwrap();
    let lease = block_on(service.acquire()).unwrap();
    match end {
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "exec" => panic!("{}", Command::new("/bin/true").exec()),
        "leak" => {
            Box::leak(Box::new((service, lease)));
        }
        "panic" => panic!("with the service at hand"),
        "stop" => block_on(service.stop()).unwrap(),
        _ => loop {
            thread::park();
        },
    }
}

fn host(fixture: &Fixture, end: &str) -> Child {
    let mut orders = vec![end.to_owned(), fixture.base_url()];
    orders.extend(fixture.args().iter().cloned());
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "host_death::plays_the_host"])
        .env(ORDERS, orders.join("\n"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a host")
}

fn wait_for_start(fixture: &Fixture) -> (Pid, Pid) {
    assert!(
        blocking_until(|| !fixture.requests().is_empty()),
        "it is started and probed"
    );
    let server = fixture.starts()[0];
    (server, group_of(server).expect("a group"))
}

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

#[test]
fn a_host_that_is_killed_leaves_nothing() {
    let fixture = family();
    let mut host = host(&fixture, "wait");
    let (server, group) = wait_for_start(&fixture);
    assert!(is_alive(server));
    let begun = now();
    host.kill().unwrap();
    host.wait().unwrap();
    assert_nothing_left(&fixture, group);
    assert!(since(begun) < Duration::from_secs(10));
}

#[test]
fn a_host_that_ends_in_any_other_way_leaves_nothing() {
    for end in ["exit", "abort", "exec", "leak", "panic"] {
        // The group can only be seen while it lives, so the host waits for nothing but a probe.
        let fixture = family();
        let mut host = host(&fixture, end);
        host.wait().unwrap();
        assert_eq!(fixture.starts().len(), 1, "{end}");
        assert!(
            blocking_until(|| fixture.alive().is_empty()),
            "{end}: {:?}",
            fixture.alive()
        );
    }
}

#[test]
fn a_host_that_is_killed_at_any_instant_of_the_start_leaves_nothing() {
    let mut started = 0;
    for round in 0..12 {
        let fixture = family().with("--delay-bind", 30);
        let mut host = host(&fixture, "wait");
        thread::sleep(ms(round * 6));
        host.kill().unwrap();
        host.wait().unwrap();
        assert!(
            blocking_until(|| fixture.alive().is_empty()),
            "{round}: {:?}",
            fixture.alive()
        );
        // Nothing comes later either.
        thread::sleep(ms(30));
        assert!(fixture.alive().is_empty(), "{round}: {:?}", fixture.alive());
        started += fixture.starts().len();
    }
    assert!(started > 0, "no kill came after the start");
}

#[test]
fn a_host_that_is_killed_during_a_stop_leaves_nothing() {
    let fixture = Fixture::new()
        .notes_signals()
        .flag("--ignore-term")
        .flag("--fork-grandchild");
    let mut host = host(&fixture, "stop");
    let (_, group) = wait_for_start(&fixture);
    assert!(blocking_until(|| !fixture.terms().is_empty()));
    host.kill().unwrap();
    host.wait().unwrap();
    assert_nothing_left(&fixture, group);
}

fn assert_lives_on(fixture: &Fixture, service: &LocalService) {
    thread::sleep(ms(300));
    assert_eq!(fixture.starts().len(), 1);
    assert!(is_alive(fixture.starts()[0]));
    assert!(service.try_acquire().is_some());
}

#[test]
fn it_does_not_die_with_the_runtime_or_the_thread_that_asked() {
    let fixture = Fixture::new();
    let service = fixture.service("outlives");
    let asking = service.clone();
    let thread = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        drop(runtime.block_on(asking.acquire()).unwrap());
    });
    thread.join().unwrap();
    assert_lives_on(&fixture, &service);
}

#[test]
fn it_does_not_die_with_a_blocking_thread_that_asked() {
    let fixture = Fixture::new();
    let service = fixture.service("outlives");
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_keep_alive(ms(10))
        .enable_all()
        .build()
        .unwrap();
    let asking = service.clone();
    let asked = runtime.spawn_blocking(move || block_on(asking.acquire()).map(drop));
    runtime.block_on(asked).unwrap().unwrap();
    assert_lives_on(&fixture, &service);
    drop(runtime);
    assert_lives_on(&fixture, &service);
}

#[test]
fn it_does_not_die_when_a_worker_of_the_runtime_blocks_in_place() {
    let fixture = Fixture::new();
    let service = fixture.service("outlives");
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_keep_alive(ms(10))
        .enable_all()
        .build()
        .unwrap();
    let asking = service.clone();
    let asked = runtime.spawn(async move {
        drop(asking.acquire().await.unwrap());
        tokio::task::block_in_place(|| thread::sleep(ms(50)));
    });
    block_on(asked).unwrap();
    assert_lives_on(&fixture, &service);
}
