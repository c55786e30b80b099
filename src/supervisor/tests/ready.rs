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
async fn without_an_idle_time_the_process_is_never_stopped() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    drop(service.acquire().await.unwrap());
    sleep(Duration::from_secs(100 * 24 * 3600)).await;
    assert_eq!(phase(&service), Phase::Ready);
    assert_eq!(fake.count(What::Term), 0);
}

#[tokio::test(start_paused = true)]
async fn however_long_the_silence_a_request_costs_no_probe() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    answer_without_end(service.acquire().await.unwrap());
    let probes = fake.count(What::Probed);
    sleep(100_000 * SEC).await;
    answer_without_end(service.try_acquire().expect("it is ready"));
    assert_eq!(fake.count(What::Probed), probes);
    assert_eq!(fake.count(What::Knocked), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_before_a_head_makes_the_next_request_look_whether_the_server_is_there() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    let probes = fake.count(What::Probed);
    fail_before_head(service.acquire().await.unwrap());
    assert!(service.try_acquire().is_none());
    drop(service.acquire().await.unwrap());
    assert_eq!(fake.count(What::Knocked), 1);
    assert_eq!(fake.count(What::Probed), probes);
    assert!(service.try_acquire().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_nothing_and_does_nothing_is_replaced() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    for _ in 0..3 {
        assert_eq!(fake.count(What::Term), 0);
        fail_before_head(service.acquire().await.unwrap());
        sleep(600 * MS).await;
    }
    assert_eq!(fake.count(What::Term), 1);
    drop(service.acquire().await.unwrap());
    assert_eq!(fake.count(What::Spawned), 2);
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_kept_however_long_it_does_not_answer() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    for second in 1..1000 {
        fail_before_head(service.acquire().await.unwrap());
        // A tenth of a core.
        fake.script().cpu = Some(100 * MS * second);
        sleep(SEC).await;
    }
    assert_eq!(fake.count(What::Term), 0);
}

#[tokio::test(start_paused = true)]
async fn one_answer_ends_the_count_of_those_that_are_missing() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    for _ in 0..100 {
        for _ in 0..2 {
            fail_before_head(service.acquire().await.unwrap());
            sleep(SEC).await;
        }
        answer_without_end(service.acquire().await.unwrap());
        sleep(SEC).await;
    }
    assert_eq!(fake.count(What::Term), 0);
}

#[tokio::test(start_paused = true)]
async fn missing_answers_count_within_the_configured_time_only() {
    for (limit, is_replaced) in [
        (Some(120 * SEC), true),
        (Some(30 * SEC), false),
        (None, false),
    ] {
        let fake = Fake::new();
        let service = ready(&fake, config().unresponsive_after(limit)).await;
        for _ in 0..3 {
            fail_before_head(service.acquire().await.unwrap());
            sleep(40 * SEC).await;
        }
        let replaced = fake.count(What::Term) > 0;
        assert_eq!(replaced, is_replaced, "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_refuses_after_a_missing_answer_is_replaced_at_once() {
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
async fn a_server_with_a_lease_out_is_not_replaced() {
    for answer in [Answer::Silent, Answer::Refused] {
        let fake = Fake::new();
        let service = ready(&fake, config()).await;
        let stream = service.acquire().await.unwrap();
        fake.script().running = answer;
        for _ in 0..5 {
            fail_before_head(service.acquire().await.unwrap());
            sleep(SEC).await;
        }
        sleep(100 * SEC).await;
        assert_eq!(fake.count(What::Term), 0);
        drop(stream);
    }
}

#[tokio::test(start_paused = true)]
async fn an_external_server_is_looked_for_after_a_second_of_silence() {
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
    assert_eq!(fake.count(What::Knocked), 1);
    assert_eq!(fake.count(What::Probed), probes, "no request");
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
    let refused = service.stop().await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::External { .. }));
    assert_eq!(phase(&service), Phase::Ready);
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
