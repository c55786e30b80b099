//! P12: silence is not death. A server is replaced if it has ended, refuses, or answers nothing and does nothing.

use rustix::process::Signal;
use tower_local_service::{Ownership, Phase};

use crate::support::{
    Fixture, ask, eventually, get, is_alive, kill, ms, now, send, signal, since, within,
};

#[tokio::test]
async fn a_server_that_was_killed_while_idle_is_started_again_by_the_next_request() {
    let fixture = Fixture::new();
    let service = fixture.service("killed");
    ask(&service, &fixture.url("/hello")).await.unwrap();
    kill(fixture.starts()[0]);
    eventually("its end is known", || {
        service.status().phase != Phase::Ready
    })
    .await;
    assert!(service.try_acquire().is_none());
    let (_, pid) = ask(&service, &fixture.url("/pid")).await.unwrap();
    assert_eq!(pid, fixture.starts()[1].to_string());
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_replaced_once_no_lease_is_out() {
    let fixture = Fixture::new();
    let config = fixture
        .config()
        .probe_timeout(ms(200))
        .stop_timeout(ms(200));
    let service = fixture.configured("deaf", config);
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let deaf = fixture.starts()[0];
    signal(deaf, Signal::STOP);
    let begun = now();
    let replaced = within("another server", async {
        loop {
            match send(&service, &fixture.url("/pid"), ms(300)).await {
                Ok(response) => break response,
                Err(_) => tokio::time::sleep(ms(20)).await,
            }
        }
    });
    drop(replaced.await);
    assert_eq!(fixture.starts().len(), 2);
    assert!(!is_alive(deaf));
    // Three requests, over a second at least.
    assert!(since(begun) > ms(1000), "{:?}", since(begun));
}

#[tokio::test]
async fn a_server_that_recovers_in_time_is_kept() {
    let fixture = Fixture::new();
    let service = fixture.service("busy");
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let busy = fixture.starts()[0];
    signal(busy, Signal::STOP);
    for _ in 0..2 {
        let failed = send(&service, &fixture.url("/hello"), ms(300)).await;
        assert!(failed.is_err());
    }
    tokio::time::sleep(ms(1000)).await;
    signal(busy, Signal::CONT);
    let (_, pid) = ask(&service, &fixture.url("/pid")).await.unwrap();
    assert_eq!(pid, busy.to_string());
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn an_unhealthy_server_is_not_harmed_while_a_lease_is_out() {
    let fixture = Fixture::new();
    let service = fixture.service("leased");
    let lease = service.acquire().await.unwrap();
    get(fixture.port(), "/set-health/500").await.unwrap();
    let pid = fixture.starts()[0];
    let begun = now();
    while since(begun) < ms(6500) {
        // A client error before a response head, again and again.
        drop(send(&service, &fixture.url("/hang"), ms(50)).await);
        let asked = now();
        let (_, body) = ask(&service, &fixture.url("/hello")).await.unwrap();
        assert_eq!(body, "hello");
        assert!(since(asked) < ms(2000), "nobody waits for a verdict");
        tokio::time::sleep(ms(100)).await;
    }
    assert!(is_alive(pid));
    assert_eq!(fixture.starts().len(), 1);
    drop(lease);
}

#[tokio::test]
async fn a_quiet_server_is_used_without_a_probe() {
    let fixture = Fixture::new();
    let service = fixture.service("quiet");
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let probes = || {
        let requests = fixture.requests();
        requests
            .iter()
            .filter(|line| *line == "GET /v1/models")
            .count()
    };
    let before = probes();
    for _ in 0..3 {
        tokio::time::sleep(ms(1300)).await;
        drop(service.try_acquire().expect("it is ready"));
        ask(&service, &fixture.url("/hello")).await.unwrap();
    }
    assert_eq!(probes(), before);
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn an_external_server_that_ends_is_replaced_by_an_owned_one() {
    let ours = Fixture::new();
    let theirs = Fixture::on(ours.port());
    let mut outside = theirs.run_outside();
    let service = ours.service("replaced");
    ask(&service, &ours.url("/hello")).await.unwrap();
    assert!(matches!(
        service.status().ownership,
        Some(Ownership::External { .. })
    ));
    outside.end();
    let served = within("our server", async {
        loop {
            match ask(&service, &ours.url("/pid")).await {
                Ok((_, pid)) => break pid,
                // The first request may find out that the server has ended.
                Err(_) => tokio::time::sleep(ms(20)).await,
            }
        }
    });
    assert_eq!(served.await, ours.starts()[0].to_string());
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
}

#[tokio::test]
async fn an_external_server_that_was_quiet_is_replaced_before_the_request_is_sent() {
    let ours = Fixture::new();
    let theirs = Fixture::on(ours.port());
    let mut outside = theirs.run_outside();
    let service = ours.service("replaced");
    ask(&service, &ours.url("/hello")).await.unwrap();
    outside.end();
    tokio::time::sleep(ms(1300)).await;
    let (_, body) = ask(&service, &ours.url("/hello")).await.unwrap();
    assert_eq!(body, "hello");
    assert_eq!(ours.starts().len(), 1);
}
