//! `Registry::events()`: what happens to the services of a registry, for programs that show it.

use tower_local_service::{Event, EventKind, Events, LocalServiceConfig, Registry};

use crate::support::{Fixture, ask, free_port, ms, waiting, within};

/// The name of the event, as it is serialized.
fn kind(event: &Event) -> String {
    let event = serde_json::to_value(event).unwrap();
    event["kind"].as_str().unwrap().to_owned()
}

/// The events up to the first of that kind.
async fn until(events: &mut Events, last: &str) -> Vec<Event> {
    let mut seen: Vec<Event> = Vec::new();
    while seen.last().is_none_or(|event| kind(event) != last) {
        seen.push(within("an event", events.next()).await);
    }
    seen
}

fn kinds(events: &[Event]) -> Vec<String> {
    events.iter().map(kind).collect()
}

#[tokio::test]
async fn the_life_of_an_instance_is_told_in_order() {
    let fixture = Fixture::new();
    let registry = Registry::new();
    let mut events = registry.events();
    let config = fixture.config().idle_stop(ms(100));
    let service = registry
        .service("shown", fixture.base_url(), config)
        .unwrap();
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let seen = until(&mut events, "stopped").await;
    assert_eq!(
        kinds(&seen),
        [
            "starting", "loading", "ready", "idle", "stopping", "stopped"
        ]
    );
    for event in &seen {
        assert_eq!((&*event.service, event.missed), ("shown", 0));
        assert_eq!(event.instance, seen[0].instance);
    }
    let server = fixture.starts()[0];
    assert!(matches!(seen[1].kind, EventKind::Loading { pid, .. } if pid == Some(server)));
    assert!(matches!(
        seen[2].kind,
        EventKind::Ready {
            external: false,
            ..
        }
    ));
    assert!(matches!(
        seen[4].kind,
        EventKind::Stopping { reason: "idle", .. }
    ));
}

#[tokio::test]
async fn two_services_on_one_address_say_who_waits_for_whom_and_who_makes_way() {
    let one = Fixture::new();
    let other = Fixture::on(one.port());
    let registry = Registry::new();
    let first = registry
        .service("first", one.base_url(), one.config())
        .unwrap();
    let second = registry
        .service("second", one.base_url(), other.config())
        .unwrap();
    let lease = first.acquire().await.unwrap();
    let mut events = registry.events();
    let next = waiting(&second).await;
    let seen = until(&mut events, "makingWay").await;
    drop(lease);
    drop(within("the other server", next).await.unwrap());
    let all = [seen, until(&mut events, "ready").await].concat();
    let told = |service: &str, name: &str| {
        let found = all
            .iter()
            .find(|it| it.service == service && kind(it) == name);
        found.unwrap_or_else(|| panic!("no {name} of {service}: {all:?}"))
    };
    let EventKind::Waiting { holder, .. } = &told("second", "waiting").kind else {
        panic!("it is waiting");
    };
    assert_eq!(holder.as_deref(), Some("local service `first`"));
    told("first", "makingWay");
    told("first", "stopped");
    told("second", "ready");
}

/// The table asks it for that again at each of its looks, many times a second.
#[tokio::test]
async fn a_server_in_use_that_makes_way_says_so_once() {
    let fixtures = [(); 2].map(|()| Fixture::new());
    let registry = Registry::new();
    registry.capacity("events", 1);
    let [first, second] = [("first", &fixtures[0]), ("second", &fixtures[1])].map(|(name, it)| {
        let config = it.config().needs("events", 1).turn(ms(0));
        registry.service(name, it.base_url(), config).unwrap()
    });
    let lease = first.acquire().await.unwrap();
    let mut events = registry.events();
    let next = waiting(&second).await;
    let mut seen = until(&mut events, "makingWay").await;
    tokio::time::sleep(ms(2000)).await;
    drop(lease);
    drop(within("the other server", next).await.unwrap());
    seen.extend(until(&mut events, "ready").await);
    let kinds = kinds(&seen);
    let says = kinds.iter().filter(|it| *it == "makingWay").count();
    assert_eq!(says, 1, "{kinds:?}");
}

#[tokio::test]
async fn services_of_other_registries_are_not_told_of_and_a_failure_is_told_with_its_error() {
    let elsewhere = Fixture::new();
    let registry = Registry::new();
    let mut events = registry.events();
    let other = Registry::new().service("other", elsewhere.base_url(), elsewhere.config());
    drop(other.unwrap().acquire().await.unwrap());

    let config = LocalServiceConfig::new("/bin/sh").args(["-c", "exit 3"]);
    let base_url = format!("http://127.0.0.1:{}/v1", free_port());
    let service = registry.service("broken", base_url, config).unwrap();
    let error = service.acquire().await.unwrap_err();
    let seen = until(&mut events, "stopped").await;
    assert!(
        seen.iter().all(|event| event.service == "broken"),
        "{seen:?}"
    );
    let failed = seen.iter().find_map(|event| match &event.kind {
        EventKind::Failed { error, .. } => Some(error.to_string()),
        _ => None,
    });
    assert_eq!(failed, Some(error.to_string()));
}

#[tokio::test]
async fn a_slow_consumer_finds_out_how_much_it_has_missed_and_delays_nothing() {
    let registry = Registry::new();
    let mut events = registry.events();
    let config = LocalServiceConfig::new("/bin/false");
    let base_url = format!("http://127.0.0.1:{}/v1", free_port());
    let service = registry.service("again", base_url, config).unwrap();
    // Each of them is at least three events.
    for _ in 0..100 {
        within("an error", service.start()).await.unwrap_err();
    }
    let first = within("an event", events.next()).await;
    assert!(first.missed > 0, "{first:?}");
    let next = within("an event", events.next()).await;
    assert_eq!(next.missed, 0);
}
