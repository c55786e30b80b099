//! `oomScoreAdj`: when memory runs out, the kernel ends the server and not your program.

use std::fs;

use tower_local_service::{LocalService, LocalServiceConfig};
use tracing::dispatcher;

use crate::support::{Events, Fixture, Pid, alone, block_on, can, eventually, group_of};

fn score_of(pid: Pid) -> i32 {
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    score.trim().parse().unwrap()
}

fn own_score() -> i32 {
    score_of(std::process::id())
}

async fn started(
    fixture: &Fixture,
    change: impl Fn(LocalServiceConfig) -> LocalServiceConfig,
) -> (LocalService, Pid) {
    let service = fixture.configured("scored", change(fixture.config()));
    service.start().await.unwrap();
    (service, fixture.starts()[0])
}

#[tokio::test]
async fn the_kernel_ends_a_server_and_its_children_before_your_program() {
    let fixture = Fixture::new().flag("--fork-grandchild");
    let (_service, server) = started(&fixture, |config| config).await;
    let wanted = own_score().max(500);
    assert_eq!(score_of(server), wanted);
    eventually("a grandchild", || !fixture.grandchildren().is_empty()).await;
    let grandchild = fixture.grandchildren()[0];
    eventually("its score", || score_of(grandchild) == wanted).await;
    // The watchdog keeps its score. If the kernel ended it first, that would count as the server's end.
    assert_eq!(score_of(group_of(server).unwrap()), own_score());
}

#[tokio::test]
async fn a_server_has_the_configured_score() {
    let fixture = Fixture::new();
    let (_service, server) = started(&fixture, |config| config.oom_score_adj(1000)).await;
    assert_eq!(score_of(server), 1000);
}

#[tokio::test]
async fn without_a_score_a_server_has_that_of_your_program() {
    let fixture = Fixture::new();
    let (_service, server) = started(&fixture, |config| config.oom_score_adj(None)).await;
    assert_eq!(score_of(server), own_score());
}

#[test]
#[ignore = "run by the test below, without the right to lower a score"]
fn plays_a_program_without_privileges() {
    let events = Events::new();
    let _listening = dispatcher::set_default(&events.dispatch());
    let own = own_score();
    for _ in 0..2 {
        let fixture = Fixture::new();
        let config = fixture.config().oom_score_adj(own - 1);
        let service = fixture.configured("unprivileged", config);
        block_on(service.start()).unwrap();
        assert_eq!(
            score_of(fixture.starts()[0]),
            own,
            "the server runs with the inherited score"
        );
    }
    let seen = events.seen();
    let warnings = seen.iter().filter(|it| it.fields.contains("`oomScoreAdj`"));
    assert_eq!(warnings.count(), 1, "{seen:?}");
}

#[test]
fn a_score_that_may_not_be_set_is_one_warning() {
    const TEST: &str = "memory_pressure::plays_a_program_without_privileges";
    let unprivileged = ["setpriv", "--bounding-set=-sys_resource"];
    if !rustix::process::geteuid().is_root() {
        alone(&[], TEST);
    } else if can(&[&unprivileged[..], &["true"]].concat()) {
        alone(&unprivileged, TEST);
    }
}
