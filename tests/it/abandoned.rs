//! P7: a start belongs to no request.

use std::time::Duration;

use tokio::time::timeout;
use tower_local_service::Phase;

use crate::support::{Fixture, eventually, is_alive, ms, waiting, within};

#[tokio::test]
async fn a_start_continues_without_its_waiter_and_the_next_request_joins_it() {
    let fixture = Fixture::new().with("--delay-bind", 500);
    let service = fixture.service("left");
    timeout(ms(100), service.acquire()).await.unwrap_err();
    eventually("ready without a waiter", || {
        service.status().phase == Phase::Ready
    })
    .await;
    let lease = service.try_acquire().expect("it is there");
    assert_eq!(lease.waited(), Duration::ZERO);
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_timeout_shorter_than_the_start_makes_progress_with_each_try() {
    let fixture = Fixture::new().with("--delay-bind", 600);
    let service = fixture.service("impatient");
    let mut tries = 0;
    let served = within("progress", async {
        loop {
            tries += 1;
            if let Ok(answer) = timeout(ms(50), service.acquire()).await {
                break answer;
            }
        }
    });
    drop(served.await.unwrap());
    assert!(tries > 3, "{tries}");
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_start_without_waiters_is_stopped_by_its_idle_time() {
    let fixture = Fixture::new().with("--delay-bind", 200);
    let service = fixture.configured("left", fixture.config().idle_stop(ms(50)));
    drop(waiting(&service).await);
    eventually("the start", || !fixture.starts().is_empty()).await;
    fixture.is_gone().await;
    eventually("stopped", || service.status().phase == Phase::Stopped).await;
    assert!(service.status().last_error.is_none());
}

#[tokio::test]
async fn an_abandoned_start_is_stopped_after_its_grace_and_is_no_failure() {
    let fixture = Fixture::new().flag("--never-bind");
    let config = fixture.config().abandon_grace(ms(50));
    let service = fixture.configured("abandoned", config);
    for round in 1..=4 {
        let waits = waiting(&service).await;
        eventually("the start", || fixture.starts().len() == round).await;
        drop(waits);
        within("it is stopped", fixture.is_gone()).await;
        eventually("stopped", || service.status().phase == Phase::Stopped).await;
    }
}

#[tokio::test]
async fn an_abandoned_start_is_kept_for_a_request_within_the_grace() {
    let fixture = Fixture::new().with("--delay-bind", 800);
    let config = fixture.config().abandon_grace(ms(400));
    let service = fixture.configured("taken-up", config);
    let waits = waiting(&service).await;
    eventually("the start", || !fixture.starts().is_empty()).await;
    drop(waits);
    tokio::time::sleep(ms(50)).await;
    drop(within("the same start", service.acquire()).await.unwrap());
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn of_many_waiters_the_last_one_is_served() {
    let fixture = Fixture::new().with("--delay-bind", 400);
    let config = fixture.config().abandon_grace(Duration::ZERO);
    let service = fixture.configured("one-stays", config);
    let mut all = Vec::new();
    for _ in 0..50 {
        all.push(waiting(&service).await);
    }
    let last = all.pop().unwrap();
    eventually("the start", || !fixture.starts().is_empty()).await;
    drop(all);
    let lease = within("the last one", last).await.unwrap();
    assert_eq!(service.status().leases, 1);
    assert!(is_alive(fixture.starts()[0]));
    assert_eq!(fixture.starts().len(), 1);
    drop(lease);
}

#[tokio::test]
async fn a_start_cut_off_at_any_moment_leaves_no_lease_behind() {
    let fixture = Fixture::new().with("--delay-bind", 20);
    let service = fixture.service("cut");
    for millis in 0..40 {
        let limit = ms(millis * 2);
        drop(timeout(limit, service.acquire()).await);
        if millis % 8 == 7 {
            service.stop().await.unwrap();
        }
    }
    eventually("no lease is left", || service.status().leases == 0).await;
    assert_eq!(service.status().waiters, 0);
}
