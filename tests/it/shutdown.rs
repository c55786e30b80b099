//! P20: a service lives as long as it can be asked for.

use std::time::Duration;

use tower_local_service::{Error, ErrorKind, LocalService, Phase, Registry};

use crate::support::{
    Fixture, PATIENCE, ask, eventually, is_alive, ms, now, send, since, waiting, within,
};

fn is_shut_down(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ShutDown { .. })
}

fn registered(registry: &Registry, fixture: &Fixture, name: &str) -> LocalService {
    registry
        .service(name, fixture.base_url(), fixture.config())
        .expect("a configuration that works")
}

#[cfg_attr(windows, ignore = "a server that is ended by its job notes no signal")]
#[tokio::test]
async fn with_the_last_handle_the_process_is_stopped() {
    let fixture = Fixture::new().notes_signals();
    let service = fixture.service("handles");
    let clone = service.clone();
    drop(service.acquire().await.unwrap());
    drop(service);
    tokio::time::sleep(ms(100)).await;
    assert!(is_alive(fixture.starts()[0]), "a clone is left");
    drop(clone);
    fixture.is_gone().await;
    assert_eq!(fixture.terms().len(), 1, "it was asked to end");
}

#[tokio::test]
async fn a_lease_keeps_the_service() {
    let fixture = Fixture::new();
    let service = fixture.service("leased");
    let lease = service.acquire().await.unwrap();
    drop(service);
    tokio::time::sleep(ms(100)).await;
    assert!(is_alive(fixture.starts()[0]));
    drop(lease);
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_body_keeps_the_service_and_is_read_to_its_end() {
    use http_body_util::BodyExt as _;
    let fixture = Fixture::new();
    let service = fixture.service("streams");
    let url = fixture.url("/stream?chunks=20&gap_ms=20");
    let response = send(&service, &url, PATIENCE).await.unwrap();
    drop(service);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"chunk 19\n"));
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_start_whose_handles_are_all_gone_is_stopped() {
    let fixture = Fixture::new().flag("--never-bind");
    let service = fixture.service("left");
    let waits = waiting(&service).await;
    eventually("the start", || !fixture.starts().is_empty()).await;
    drop((service, waits));
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_registry_keeps_its_services() {
    let fixture = Fixture::new();
    let registry = Registry::new();
    let service = registered(&registry, &fixture, "kept");
    drop(service.acquire().await.unwrap());
    drop(service);
    tokio::time::sleep(ms(100)).await;
    let services = registry.services();
    assert!(services[0].try_acquire().is_some());
    drop((services, registry));
    fixture.is_gone().await;
}

#[tokio::test]
async fn the_global_registry_keeps_what_is_new() {
    let fixture = Fixture::new();
    let service = LocalService::new("global", fixture.base_url(), fixture.config()).unwrap();
    drop(service.acquire().await.unwrap());
    drop(service);
    tokio::time::sleep(ms(100)).await;
    let services = Registry::global().services();
    let kept = services.iter().find(|it| it.name() == "global").unwrap();
    assert!(kept.try_acquire().is_some());
    Registry::global().retire(kept).await;
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn a_shutdown_stops_all_whatever_leases_are_out() {
    let fixture = Fixture::new();
    let registry = Registry::new();
    let service = registered(&registry, &fixture, "busy");
    let lease = service.acquire().await.unwrap();
    within("the shutdown", registry.shutdown()).await;
    assert!(fixture.alive().is_empty());
    assert!(is_shut_down(&service.acquire().await.unwrap_err()));
    assert!(is_shut_down(&service.start().await.unwrap_err()));
    assert!(service.try_acquire().is_none());
    let refused = registry.service("late", fixture.base_url(), fixture.config());
    assert!(is_shut_down(&refused.unwrap_err()));
    assert!(registry.services().is_empty());
    assert_eq!(service.status().phase, Phase::Stopped);
    drop(lease);
}

#[tokio::test]
async fn a_shutdown_fails_the_waiting_requests() {
    let fixture = Fixture::new().flag("--never-bind");
    let registry = Registry::new();
    let service = registered(&registry, &fixture, "starting");
    let waits = waiting(&service).await;
    eventually("the start", || !fixture.starts().is_empty()).await;
    let (error, ()) = within("the shutdown", async {
        tokio::join!(waits, registry.shutdown())
    })
    .await;
    assert!(is_shut_down(&error.unwrap_err()));
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn services_are_stopped_side_by_side() {
    let registry = Registry::new();
    let fixtures: Vec<_> = (0..4)
        .map(|_| Fixture::new().notes_signals().with("--term-delay", 1000))
        .collect();
    for fixture in &fixtures {
        let service = registered(&registry, fixture, "one-of-many");
        drop(service.acquire().await.unwrap());
    }
    assert_eq!(registry.services().len(), 4);
    let begun = now();
    within("the shutdown", registry.shutdown()).await;
    assert!(since(begun) < ms(3500), "{:?}", since(begun));
    assert!(fixtures.iter().all(|fixture| fixture.alive().is_empty()));
}

#[tokio::test]
async fn a_drain_waits_for_the_leases() {
    let fixture = Fixture::new();
    let registry = Registry::new();
    let service = registered(&registry, &fixture, "drained");
    let lease = service.acquire().await.unwrap();
    let begun = now();
    let ((), ()) = tokio::join!(registry.drain(Duration::from_secs(60)), async {
        eventually("it is refused", || service.try_acquire().is_none()).await;
        assert!(is_shut_down(&service.acquire().await.unwrap_err()));
        tokio::time::sleep(ms(300)).await;
        assert!(is_alive(fixture.starts()[0]));
        drop(lease);
    });
    assert!(since(begun) < PATIENCE);
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn a_drain_stops_at_its_limit() {
    let fixture = Fixture::new();
    let registry = Registry::new();
    let service = registered(&registry, &fixture, "cut");
    let url = fixture.url("/hang");
    let begun = now();
    let (answer, ()) = tokio::join!(send(&service, &url, PATIENCE), async {
        eventually("it is asked", || {
            fixture.requests().contains(&"GET /hang".to_owned())
        })
        .await;
        registry.drain(ms(300)).await;
    });
    let took = since(begun);
    assert!(ms(300) <= took && took < PATIENCE, "{took:?}");
    assert!(answer.is_err());
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn the_leases_of_a_retired_service_end_before_it_is_stopped() {
    let fixture = Fixture::new();
    let registry = Registry::new();
    let service = registered(&registry, &fixture, "retired");
    let lease = service.acquire().await.unwrap();
    let ((), ()) = tokio::join!(registry.retire(&service), async {
        eventually("it is refused", || service.try_acquire().is_none()).await;
        assert!(is_shut_down(&service.acquire().await.unwrap_err()));
        tokio::time::sleep(ms(200)).await;
        assert!(is_alive(fixture.starts()[0]));
        drop(lease);
    });
    assert!(fixture.alive().is_empty());
    assert!(registry.services().is_empty());

    // The registry still works, and accepts the service again.
    let again = registered(&registry, &fixture, "retired");
    ask(&again, &fixture.url("/hello")).await.unwrap();
}

#[tokio::test]
async fn a_service_of_another_registry_is_not_stopped() {
    let fixture = Fixture::new();
    let (one, two) = (Registry::new(), Registry::new());
    let (first, second) = (
        registered(&one, &fixture, "first"),
        registered(&two, &fixture, "second"),
    );
    drop(first.acquire().await.unwrap());
    within("the shutdown", one.shutdown()).await;
    assert!(is_shut_down(&first.acquire().await.unwrap_err()));
    ask(&second, &fixture.url("/hello")).await.unwrap();
    assert_eq!(fixture.starts().len(), 1);
    within("the retirement", two.retire(&second)).await;
    assert!(fixture.alive().is_empty());
}
