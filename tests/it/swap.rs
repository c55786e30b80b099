//! P3: two identities on one address take turns.

use http_body_util::BodyExt as _;
use tower_local_service::{Error, ErrorKind, LocalService, Phase};

use crate::support::{Fixture, PATIENCE, ask, eventually, is_alive, ms, send, waiting, within};

/// Two servers with the same port, and a handle of each.
fn two() -> (Fixture, Fixture, LocalService, LocalService) {
    let first = Fixture::new();
    let second = Fixture::on(first.port());
    let (one, two) = (first.service("one"), second.service("two"));
    (first, second, one, two)
}

#[tokio::test]
async fn two_servers_on_one_port_swap() {
    let (first, second, one, two) = two();
    for round in 1..=2 {
        assert_eq!(ask(&one, &first.url("/hello")).await.unwrap().1, "hello");
        let (_, pid) = ask(&two, &second.url("/pid")).await.unwrap();
        assert_eq!(pid, second.starts()[round - 1].to_string());
        assert!(!is_alive(first.starts()[round - 1]));
        assert_eq!(
            (first.starts().len(), second.starts().len()),
            (round, round)
        );
    }
}

#[tokio::test]
async fn the_leases_of_the_running_server_end_before_the_swap() {
    let (first, second, one, two) = two();
    let response = send(&one, &first.url("/stream?chunks=20&gap_ms=20"), PATIENCE)
        .await
        .unwrap();
    let next = waiting(&two).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"chunk 19\n"));
    assert!(second.starts().is_empty(), "the stream was still read");
    let lease = within("the swap", next).await.unwrap();
    assert!(!is_alive(first.starts()[0]));
    assert_eq!(two.status().pid, Some(second.starts()[0]));
    drop(lease);
}

#[tokio::test]
async fn new_requests_for_the_running_server_queue_behind_the_swap() {
    let (first, second, one, two) = two();
    let held = one.acquire().await.unwrap();
    let next = waiting(&two).await;
    eventually("the swap is known", || one.try_acquire().is_none()).await;
    let after = waiting(&one).await;
    drop(held);
    let of_two = within("the swap", next).await.unwrap();
    assert_eq!(first.starts().len(), 1, "the other one is served first");
    drop(of_two);
    let lease = within("the swap back", after).await.unwrap();
    assert_eq!((first.starts().len(), second.starts().len()), (2, 1));
    assert_eq!(one.status().pid, Some(first.starts()[1]));
    drop(lease);
}

#[tokio::test]
async fn one_start_serves_all_waiters_of_the_swap() {
    let (first, second, one, two) = two();
    let held = one.acquire().await.unwrap();
    let mut waiters = Vec::new();
    for _ in 0..20 {
        waiters.push(waiting(&two).await);
    }
    drop(held);
    for waiter in waiters {
        within("the swap", waiter).await.unwrap();
    }
    assert_eq!((first.starts().len(), second.starts().len()), (1, 1));
}

#[tokio::test]
async fn a_swap_that_takes_too_long_names_the_holder_of_the_address() {
    let first = Fixture::new();
    let second = Fixture::on(first.port());
    let one = first.service("the-holder");
    let two = second.configured("two", second.config().swap_timeout(ms(2000)));
    let lease = one.acquire().await.unwrap();
    let error = within("the swap", two.acquire()).await.unwrap_err();
    match error.kind() {
        ErrorKind::AddressInUse { by, .. } => assert!(by.contains("the-holder"), "{by}"),
        kind => panic!("{kind:?}"),
    }
    assert!(second.starts().is_empty());
    // No request waits any more, so the running server keeps the address.
    eventually("the holder gives out leases", || {
        one.try_acquire().is_some()
    })
    .await;
    assert_eq!(two.status().phase, Phase::Stopped);
    drop(lease);
    drop(within("the swap", two.acquire()).await.unwrap());
}

#[tokio::test]
async fn a_caller_that_streams_from_one_server_and_asks_for_the_other_gets_an_error_and_no_deadlock()
 {
    let first = Fixture::new();
    let second = Fixture::on(first.port());
    let one = first.service("one");
    let two = second.configured("two", second.config().swap_timeout(ms(200)));
    let url = first.url("/stream?chunks=40&gap_ms=20");
    let response = send(&one, &url, PATIENCE).await.unwrap();
    let refused = within("the other one", ask(&two, &second.url("/hello"))).await;
    let error = refused.unwrap_err();
    let error = Error::find_in(&*error).expect("our error");
    assert!(
        matches!(error.kind(), ErrorKind::AddressInUse { .. }),
        "{error}"
    );
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"chunk 39\n"));
}

#[tokio::test]
async fn a_swap_clears_the_back_off_of_the_server_that_makes_way() {
    let (first, _second, one, two) = two();
    for _ in 0..4 {
        drop(one.acquire().await.unwrap());
        drop(two.acquire().await.unwrap());
    }
    assert_eq!(first.starts().len(), 4);
}
