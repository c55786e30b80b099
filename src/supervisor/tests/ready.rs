//! While requests are served.

use super::*;

async fn ready(fake: &Fake, config: LocalServiceConfig) -> LocalService {
    let service = service(fake, config);
    service.start().await.unwrap();
    service
}

#[tokio::test(start_paused = true)]
async fn the_process_is_stopped_when_the_idle_time_after_the_last_lease_is_over() {
    let fake = Fake::new();
    let service = ready(&fake, config().idle_stop(60 * SEC)).await;
    let [first, second] = [
        service.acquire().await.unwrap(),
        service.acquire().await.unwrap(),
    ];
    sleep(1000 * SEC).await;
    drop(first);
    sleep(1000 * SEC).await;
    drop(second);
    let idle_since = Instant::now();
    sleep_until(idle_since + 59_999 * MS).await;
    assert_eq!(phase(&service), Phase::Ready);
    sleep_until(idle_since + 60_010 * MS).await;
    assert_eq!(fake.times(What::Term), [idle_since + 60 * SEC]);
    assert_eq!(phase(&service), Phase::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_lease_in_between_postpones_the_idle_stop() {
    let fake = Fake::new();
    let service = ready(&fake, config().idle_stop(60 * SEC)).await;
    let mut last = Instant::now();
    for _ in 0..5 {
        sleep(50 * SEC).await;
        drop(service.acquire().await.unwrap());
        last = Instant::now();
    }
    sleep(59_999 * MS).await;
    assert_eq!(phase(&service), Phase::Ready);
    sleep(2 * MS).await;
    assert_eq!(fake.times(What::Term), [last + 60 * SEC]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_no_use() {
    let fake = Fake::new();
    let config = config().idle_stop(60 * SEC).recheck(10 * SEC);
    let service = ready(&fake, config).await;
    drop(service.try_acquire());
    let last = Instant::now();
    sleep(50 * SEC).await;
    // It asks, has the server probed, and leaves before the answer.
    let waiter = asks(&service);
    tokio::task::yield_now().await;
    waiter.abort();
    sleep(10_001 * MS).await;
    assert_eq!(fake.times(What::Term), [last + 60 * SEC]);
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_time_the_process_is_never_stopped() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    drop(service.acquire().await.unwrap());
    sleep(Duration::from_secs(100 * 24 * 3600)).await;
    assert_eq!(phase(&service), Phase::Ready);
    assert_eq!(fake.count(What::Term), 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_silence_the_next_request_costs_one_probe() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    answer_without_end(service.acquire().await.unwrap());
    let probes = fake.count(What::Probed);
    sleep(29_999 * MS).await;
    answer_without_end(service.try_acquire().expect("it was heard of lately"));
    sleep(29_999 * MS).await;
    // Taken by hand, and so no sign that it lives.
    drop(service.try_acquire().unwrap());
    sleep(2 * MS).await;
    assert!(service.try_acquire().is_none());
    assert_eq!(fake.count(What::Probed), probes, "nobody has asked");
    drop(service.acquire().await.unwrap());
    drop(service.acquire().await.unwrap());
    assert_eq!(fake.count(What::Probed), probes + 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_out_keeps_the_silence_from_being_suspicious() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    let lease = service.acquire().await.unwrap();
    sleep(1000 * SEC).await;
    assert!(service.try_acquire().is_some());
    answer_without_end(lease);
    sleep(29_999 * MS).await;
    assert!(service.try_acquire().is_some());
}

#[tokio::test(start_paused = true)]
async fn an_error_before_a_head_makes_the_next_request_probe() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    sleep(2 * SEC).await;
    let probes = fake.count(What::Probed);
    fail_before_head(service.acquire().await.unwrap());
    assert!(service.try_acquire().is_none());
    drop(service.acquire().await.unwrap());
    assert_eq!(fake.count(What::Probed), probes + 1);
    assert!(service.try_acquire().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_under_suspicion_is_probed_once_a_second_at_most() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    sleep(2 * SEC).await;
    let probes = fake.count(What::Probed);
    for _ in 0..100 {
        fail_before_head(service.acquire().await.unwrap());
        sleep(99 * MS).await;
    }
    let made = fake.count(What::Probed) - probes;
    assert!((9..=10).contains(&made), "{made} probes in 10 s");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_refuses_under_suspicion_is_replaced_at_once() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    sleep(2 * SEC).await;
    fail_before_head(service.acquire().await.unwrap());
    fake.script().running = Answer::Refused;
    let begun = Instant::now();
    let waiter = asks(&service);
    sleep(2 * MS).await;
    fake.script().running = Answer::Ready;
    waiter.await.unwrap().unwrap();
    assert!(begun.elapsed() < 100 * MS);
    assert_eq!(fake.count(What::Spawned), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_replaced_after_three_probes_over_five_seconds() {
    for sight in [Answer::Silent, Answer::Status(500), Answer::Closed] {
        let fake = Fake::new();
        let service = ready(&fake, config()).await;
        sleep(2 * SEC).await;
        fail_before_head(service.acquire().await.unwrap());
        fake.script().running = sight;
        let probes = fake.count(What::Probed);
        let begun = Instant::now();
        let waiter = asks(&service);
        sleep(4_999 * MS).await;
        assert_eq!(fake.count(What::Term), 0, "{sight}");
        sleep(2_003 * MS).await;
        let terms = fake.times(What::Term);
        assert_eq!(terms.len(), 1, "{sight}");
        assert!(terms[0] - begun >= 5 * SEC);
        let since: Vec<_> = fake.times(What::Probed)[probes..].to_vec();
        let strikes = since.iter().filter(|at| **at <= terms[0]).count();
        // The stop itself looks whether the port is free.
        assert!((3..=4).contains(&strikes), "{sight}: {strikes}");
        fake.script().running = Answer::Ready;
        waiter.await.unwrap().unwrap();
        assert_eq!(fake.count(What::Spawned), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn one_good_answer_ends_the_suspicion() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    sleep(2 * SEC).await;
    fail_before_head(service.acquire().await.unwrap());
    fake.script().running = Answer::Status(500);
    let waiter = asks(&service);
    sleep(4 * SEC).await;
    // A server that rejects the credentials lives.
    fake.script().running = Answer::Status(401);
    waiter.await.unwrap().unwrap();
    assert_eq!(fake.count(What::Term), 0);
    assert_eq!(fake.count(What::Spawned), 1);
}

#[tokio::test(start_paused = true)]
async fn a_suspect_with_a_lease_out_is_not_replaced() {
    for sight in [Answer::Silent, Answer::Refused] {
        let fake = Fake::new();
        let service = ready(&fake, config()).await;
        sleep(2 * SEC).await;
        let stream = service.acquire().await.unwrap();
        fail_before_head(service.acquire().await.unwrap());
        fake.script().running = sight;
        let asked = service.acquire().await.unwrap();
        drop(asked);
        sleep(100 * SEC).await;
        assert_eq!(fake.count(What::Term), 0);
        drop(stream);
    }
}

#[tokio::test(start_paused = true)]
async fn an_external_server_is_rechecked_after_a_second() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Ready;
    let service = ready(&fake, config()).await;
    drop(service.acquire().await.unwrap());
    sleep(999 * MS).await;
    drop(service.try_acquire().expect("heard of lately"));
    sleep(1_001 * MS).await;
    assert!(service.try_acquire().is_none());
    let probes = fake.count(What::Probed);
    drop(service.acquire().await.unwrap());
    assert_eq!(fake.count(What::Probed), probes + 1);
}

#[tokio::test(start_paused = true)]
async fn an_external_server_that_has_gone_is_replaced_by_an_owned_one() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Ready;
    let service = ready(&fake, config()).await;
    let lease = service.acquire().await.unwrap();
    fake.script().elsewhere = Answer::Refused;
    sleep(2 * SEC).await;
    // No owned process is killed by it, so a lease protects nothing.
    let next = service.acquire().await.unwrap();
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    assert_ne!(lease.instance(), next.instance());
    drop(lease);
    assert_eq!(service.status().leases, 1);
}

#[tokio::test(start_paused = true)]
async fn an_external_server_is_never_stopped() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Ready;
    let service = ready(&fake, config().idle_stop(SEC)).await;
    drop(service.acquire().await.unwrap());
    sleep(100 * SEC).await;
    assert_eq!(phase(&service), Phase::Ready);
    service.stop().await.unwrap();
    assert_eq!((fake.count(What::Term), fake.count(What::Kill)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_of_a_taken_port_while_ready_hands_its_leases_on() {
    let fake = Fake::new();
    fake.script().output = "Address already in use".to_owned();
    let service = ready(&fake, config()).await;
    let lease = service.acquire().await.unwrap();
    fake.script().elsewhere = Answer::Ready;
    fake.exit(1);
    sleep(10 * MS).await;
    let next = service.acquire().await.unwrap();
    assert_eq!(
        service.status().ownership,
        Some(Ownership::External { pid: None })
    );
    assert_eq!(lease.instance(), next.instance());
    assert_eq!(service.status().leases, 2);
    assert!(service.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_crash_voids_the_leases_of_its_instance() {
    let fake = Fake::new();
    let service = ready(&fake, config().idle_stop(60 * SEC)).await;
    let stream = service.acquire().await.unwrap();
    fake.exit(139);
    sleep(10 * MS).await;
    let next = service.acquire().await.unwrap();
    assert_ne!(stream.instance(), next.instance());
    assert_eq!(service.status().leases, 1);
    assert_eq!(
        *stream.death().kind(),
        ErrorKind::Exited {
            code: Some(139),
            signal: None
        }
    );
    drop(next);
    let idle_since = Instant::now();
    // The old stream keeps no instance alive, and its end postpones nothing.
    sleep(30 * SEC).await;
    drop(stream);
    sleep(30_001 * MS).await;
    assert_eq!(fake.times(What::Term), [idle_since + 60 * SEC]);
}
