//! A host that ignores SIGCHLD, as its parent did: its children are reaped behind our back.

use tower_local_service::{ErrorKind, Phase};

use crate::support::{
    Fixture, alone, block_on, blocking_until, can, children_of, group_of, kill, members_of,
};

fn ignores_sigchld() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    let mask = u64::from_str_radix(mask.unwrap().trim(), 16).unwrap();
    mask & (1 << 16) != 0
}

#[test]
#[ignore = "run by the test below, with SIGCHLD ignored"]
fn plays_a_host_that_ignores_sigchld() {
    assert!(ignores_sigchld());
    let fixture = Fixture::new().flag("--fork-grandchild");
    let service = fixture.service("ignored");
    drop(block_on(service.acquire()).unwrap());
    let server = fixture.starts()[0];
    let group = group_of(server).unwrap();

    // It dies, and the next request is served.
    kill(server);
    assert!(blocking_until(|| service.status().pid != Some(server)));
    assert!(blocking_until(|| members_of(group).is_empty()));
    assert!(blocking_until(|| block_on(service.acquire()).is_ok()));
    let successor = group_of(*fixture.starts().last().unwrap()).unwrap();
    block_on(service.stop()).unwrap();
    assert_eq!(service.status().phase, Phase::Stopped);
    assert!(members_of(successor).is_empty());

    let broken = Fixture::new().flag("--exit-at-start");
    let error = block_on(broken.service("broken").acquire()).unwrap_err();
    // With which code is lost, unless tokio has come to listen for SIGCHLD meanwhile.
    assert!(matches!(error.kind(), ErrorKind::Exited { .. }), "{error}");
    assert!(children_of(std::process::id()).is_empty());
}

#[test]
fn a_host_that_ignores_sigchld_starts_and_stops_servers_all_the_same() {
    let ignoring = ["env", "--ignore-signal=CHLD"];
    if can(&[&ignoring[..], &["true"]].concat()) {
        alone(
            &ignoring,
            "reaped_by_others::plays_a_host_that_ignores_sigchld",
        );
    }
}
