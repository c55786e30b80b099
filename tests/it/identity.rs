//! P3: the same identity is the same process, whatever its names and registries.

use std::time::Duration;

use tower_local_service::{ErrorKind, Phase, Registry};

use crate::support::{Fixture, eventually, ms, waiting};

#[tokio::test]
async fn two_names_in_two_registries_are_one_process_with_one_count_of_leases() {
    let fixture = Fixture::new();
    let (one, two) = (Registry::new(), Registry::new());
    let (url, config) = (fixture.base_url(), fixture.config());
    let one = one.service("one", &url, config.clone()).unwrap();
    // Another spelling of the same address.
    let url = url.replace("127.0.0.1", "localhost");
    let two = two.service("two", url, config).unwrap();

    let first = one.acquire().await.unwrap();
    let second = two.try_acquire().expect("it is ready for the other too");
    assert_eq!(first.instance(), second.instance());
    assert_eq!((one.status().leases, two.status().leases), (2, 2));
    assert_eq!(one.status().pid, two.status().pid);
    assert_eq!(fixture.starts().len(), 1);
    drop(first);
    assert_eq!(two.status().leases, 1);
}

#[tokio::test]
async fn the_longest_idle_time_of_the_handles_alive_counts() {
    let fixture = Fixture::new();
    let hasty = fixture.configured("hasty", fixture.config().idle_stop(ms(30)));
    let patient = fixture.configured("patient", fixture.config().idle_stop(Duration::ZERO));
    drop(hasty.acquire().await.unwrap());
    tokio::time::sleep(ms(400)).await;
    assert_eq!(hasty.status().phase, Phase::Ready, "never is the longest");

    drop(patient);
    eventually("the hasty one decides alone", || {
        hasty.status().phase == Phase::Stopped
    })
    .await;
}

#[tokio::test]
async fn an_error_has_the_name_of_the_handle_that_was_asked() {
    let fixture = Fixture::new()
        .with("--exit-after", 300)
        .flag("--never-bind");
    let (one, two) = (fixture.service("one"), fixture.service("two"));
    let (first, second) = (waiting(&one).await, waiting(&two).await);
    let (first, second) = tokio::join!(first, second);
    let (first, second) = (first.unwrap_err(), second.unwrap_err());
    assert_eq!((first.service(), second.service()), ("one", "two"));
    assert_eq!(first.kind(), second.kind());
    assert!(first.to_string().contains("`one`"), "{first}");
    let last = two.status().last_error.expect("it failed");
    assert_eq!(last.service(), "two");
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_dropped_handle_leaves_the_process_to_the_other() {
    let fixture = Fixture::new();
    let (one, two) = (fixture.service("one"), fixture.service("two"));
    let lease = one.acquire().await.unwrap();
    drop((one, lease));
    tokio::time::sleep(ms(200)).await;
    assert!(two.try_acquire().is_some());
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn other_arguments_are_another_identity() {
    let fixture = Fixture::new();
    let config = fixture.config();
    let one = fixture.configured("one", config.clone().ready_timeout(Duration::from_secs(19)));
    let other = fixture.configured("other", config.args(["--tokens", "3"]));
    let lease = one.acquire().await.unwrap();
    assert!(other.try_acquire().is_none());
    drop(lease);
    drop(other.acquire().await.unwrap());
    assert_eq!(fixture.starts().len(), 2);
}

#[tokio::test]
async fn how_it_is_probed_is_no_part_of_the_identity() {
    let fixture = Fixture::new();
    let one = fixture.service("one");
    let config = fixture.config().health_url(fixture.url("/hello"));
    let two = fixture.configured("two", config);
    let first = one.acquire().await.unwrap();
    let second = two.acquire().await.unwrap();
    assert_eq!(first.instance(), second.instance());
    assert!(fixture.requests().iter().all(|line| line != "GET /hello"));
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_request_beyond_the_limit_of_waiters_fails_and_says_when_to_retry() {
    let fixture = Fixture::new().with("--delay-bind", 300);
    let service = fixture.configured("queue", fixture.config().max_waiters(1));
    let first = waiting(&service).await;
    let error = service.acquire().await.unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Overloaded { waiters: 1, .. }
    ));
    assert!(error.retry_after().is_some());
    first.await.unwrap();
}
