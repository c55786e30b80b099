//! P4: the answer comes soon after readiness, and probing costs little.

use std::time::Duration;

use tower_local_service::{ErrorKind, LocalServiceConfig, Ownership};

use crate::support::{Fixture, PROGRAM, eventually, ms, now, since, waiting, within};

/// A busy machine may delay one start, but hardly five.
const TRIES: usize = 5;

/// The shortest time between readiness and the answer, of some starts.
async fn shortest_delay(flag: &str, millis: u64) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..TRIES {
        let fixture = Fixture::new().with(flag, millis);
        let stamp = fixture.path("ready");
        let fixture = fixture.with("--ready-file", &stamp);
        let service = fixture.service("timed");
        let lease = service.acquire().await.expect("it is ready");
        let served = now();
        eventually("the stamp", || std::fs::exists(&stamp).is_ok_and(|it| it)).await;
        let ready = std::fs::read_to_string(&stamp).expect("the stamp");
        let ready = Duration::from_nanos(ready.parse().expect("nanoseconds"));
        shortest = shortest.min(served.saturating_sub(ready));
        drop(lease);
        if shortest < ms(25) {
            break;
        }
    }
    shortest
}

#[tokio::test]
async fn the_answer_comes_soon_after_the_server_listens() {
    let delay = shortest_delay("--delay-bind", 137).await;
    assert!(delay < ms(100), "{delay:?}");
}

#[tokio::test]
async fn the_answer_comes_soon_after_the_server_has_loaded() {
    let delay = shortest_delay("--loading", 500).await;
    assert!(delay < ms(100), "{delay:?}");
}

#[tokio::test]
async fn a_process_that_exits_ends_the_wait_at_once() {
    let fixture = Fixture::new().with("--exit-after", 50).flag("--never-bind");
    let service = fixture.service("exits");
    let begun = now();
    let error = service.acquire().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Exited { .. }), "{error}");
    let took = since(begun);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_server_that_accepts_and_hangs_is_given_up_at_the_ready_timeout() {
    for flag in [
        "--accept-and-hang",
        "--trickle",
        "--flood-1xx",
        "--listen-never-accept",
    ] {
        let fixture = Fixture::new().flag(flag);
        let config = fixture.config().ready_timeout(ms(500));
        let service = fixture.configured("hangs", config.probe_timeout(Duration::from_secs(60)));
        let begun = now();
        let error = within(flag, service.acquire()).await.unwrap_err();
        let took = since(begun);
        assert!(
            matches!(error.kind(), ErrorKind::ReadyTimeout { .. }),
            "{flag}: {error}"
        );
        assert!(
            ms(500) <= took && took < Duration::from_secs(6),
            "{flag}: {took:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_hangs_at_first_is_ready_when_it_answers() {
    let fixture = Fixture::new()
        .flag("--accept-and-hang")
        .with("--fault-for", 300);
    let service = fixture.configured("wakes", fixture.config().probe_timeout(ms(100)));
    drop(
        within("it answers at last", service.acquire())
            .await
            .unwrap(),
    );
}

#[tokio::test]
async fn a_slow_start_gets_few_probes() {
    let fixture = Fixture::new().with("--loading", 1500);
    let service = fixture.service("slow");
    drop(service.acquire().await.unwrap());
    let probes = fixture.requests().len();
    // A millisecond apart at first, then 1 % of the wait: 15 ms at the end.
    assert!((60..450).contains(&probes), "{probes}");
}

#[tokio::test]
async fn the_pause_between_probes_does_not_depend_on_how_long_they_take() {
    let fixture = Fixture::new()
        .with("--health-delay", 30)
        .with("--health-status", 500);
    let config = fixture.config().ready_timeout(ms(3000));
    let error = fixture
        .configured("slow-probe", config)
        .acquire()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("status 500"), "{error}");
    let probes = fixture.requests().len();
    // Each takes 30 ms, and between them is 1 % of the wait: 1 to 30 ms. One at a time.
    assert!((30..=99).contains(&probes), "{probes}");
}

#[tokio::test]
async fn output_triggers_no_probe() {
    let fixture = Fixture::new()
        .with("--loading", 400)
        .with("--print", 1_000_000);
    let service = fixture.service("chatty");
    drop(service.acquire().await.unwrap());
    assert!(
        fixture.requests().len() < 350,
        "{}",
        fixture.requests().len()
    );
}

/// A server that dies of a taken port so many times, and then serves.
fn clumsy(fixture: &Fixture, times: usize) -> LocalServiceConfig {
    let marks = fixture.path("marks");
    let complaint = "cannot listen: Address already in use (os error 98)";
    let script = format!(
        "echo x >> {marks}; [ $(wc -l < {marks}) -gt {times} ] && exec {PROGRAM} \"$@\"; \
         echo '{complaint}' >&2; exit 1"
    );
    let port = fixture.port().to_string();
    LocalServiceConfig::new("/bin/sh").args(["-c", &script, "sh", "--port", &port])
}

#[tokio::test]
async fn a_server_that_dies_of_a_taken_port_that_refuses_is_started_once_more() {
    let fixture = Fixture::new();
    let service = fixture.configured("clumsy", clumsy(&fixture, 1));
    drop(service.acquire().await.unwrap());
    let status = service.status();
    assert_eq!(
        (status.starts, status.ownership),
        (2, Some(Ownership::Owned))
    );
}

#[tokio::test]
async fn the_second_start_because_of_a_taken_port_is_not_counted_the_next_is() {
    let fixture = Fixture::new();
    let service = fixture.configured("clumsier", clumsy(&fixture, 3));
    let error = service.acquire().await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: Some(1), .. }),
        "{error}"
    );
    assert!(
        error
            .output_tail()
            .unwrap()
            .contains("Address already in use")
    );
    assert_eq!(service.status().starts, 2);
    // After the first failure in a row there is no pause.
    drop(service.acquire().await.unwrap());
    assert_eq!(service.status().starts, 4);
}

#[tokio::test]
async fn a_probe_does_not_take_the_port_of_the_server() {
    // An even port of the ephemeral range, from which the kernel might connect to the port itself.
    let free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let port = (40_000..50_000).step_by(2).find(free).unwrap();
    let fixture = Fixture::on(port).with("--delay-bind", 1000);
    let service = fixture.service("even");
    let waits = waiting(&service).await;
    drop(waits.await.unwrap());
    assert_eq!(fixture.starts().len(), 1);
}

/// The error of a start that never gets ready, of a service with that command.
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
async fn never_ready(fixture: &Fixture, config: LocalServiceConfig) -> String {
    let config = config.ready_timeout(ms(2500));
    let service = fixture.configured("never", config);
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::ReadyTimeout { .. }),
        "{error}"
    );
    error.to_string()
}

#[tokio::test]
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
async fn the_error_of_a_server_on_another_port_names_the_port() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let config = other.config().health_url(fixture.url("/v1/models"));
    let text = never_ready(&fixture, config).await;
    let address = format!("listens on 127.0.0.1:{} instead", other.port());
    assert!(text.contains(&address), "{address}: {text}");
}

#[tokio::test]
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
async fn the_error_of_a_suspended_server_says_that_it_may_wait_for_a_terminal() {
    let fixture = Fixture::new();
    let config = LocalServiceConfig::new("/bin/sh")
        .args(["-c", "kill -STOP $$"])
        .health_url(fixture.url("/v1/models"))
        .stop_timeout(ms(500));
    let text = never_ready(&fixture, config).await;
    assert!(text.contains("is suspended"), "{text}");
    assert!(text.contains("terminal"), "{text}");
}
