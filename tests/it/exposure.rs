//! A server that other machines can reach is a warning.

use tower_local_service::LocalService;
use tracing::{Level, dispatcher};

use crate::support::{Events, Fixture, alone, block_on, blocking_until, can};

fn warnings(events: &Events) -> Vec<String> {
    let seen = events.seen();
    let exposed = seen.iter().filter(|it| it.fields.contains("exposed"));
    exposed
        .inspect(|it| assert_eq!(it.level, Level::WARN))
        .map(|it| it.fields.clone())
        .collect()
}

fn start(service: &LocalService) {
    block_on(service.start()).unwrap();
    assert!(block_on(service.acquire()).is_ok());
}

#[test]
#[ignore = "run by the test below, on a network of its own: nothing is exposed by it"]
fn plays_a_program_on_its_own_network() {
    let events = Events::new();
    let _listening = dispatcher::set_default(&events.dispatch());
    let near = Fixture::new();
    let service = near.service("near");
    start(&service);
    // Behind a wrapper, so that the listener is not the process that the crate started.
    for (host, shown) in [("0.0.0.0", "0.0.0.0"), ("::", "[::]")] {
        let fixture = Fixture::new()
            .with("--host", host)
            .with("--wrapper", "wait");
        let service = fixture.service("far");
        for run in 1..=2 {
            let told = warnings(&events).len();
            start(&service);
            assert!(blocking_until(|| warnings(&events).len() > told), "{run}");
            let last = warnings(&events).pop().unwrap();
            let address = format!("address={shown}:{}", fixture.port());
            assert!(last.contains(&address), "{last}");
            assert!(last.contains("`--host 127.0.0.1`"), "{last}");
            block_on(service.stop()).unwrap();
        }
    }
    assert_eq!(warnings(&events).len(), 4, "one for each instance");
    block_on(service.stop()).unwrap();
}

#[test]
fn a_server_that_other_machines_can_reach_is_a_warning_for_each_instance() {
    let own_network = [
        "unshare",
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        "ip link set lo up && exec \"$0\" \"$@\"",
    ];
    if can(&[&own_network[..], &["true"]].concat()) {
        alone(&own_network, "exposure::plays_a_program_on_its_own_network");
    }
}
