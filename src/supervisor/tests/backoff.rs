//! Starts that fail in a row.

use super::*;

/// A machine on which every process dies before it is ready.
fn hopeless() -> Fake {
    let fake = Fake::new();
    fake.script().spawn_error = Some("no such luck");
    fake
}

/// The time until the next start after this failure, as the error tells it.
async fn retry_after(service: &LocalService) -> Duration {
    let error = service.acquire().await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::CrashLoop { .. }),
        "{error}"
    );
    error.retry_after().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_pause_doubles_up_to_a_minute() {
    let fake = hopeless();
    let service = service(&fake, config());
    let is_spawn = |error: &Error| matches!(error.kind(), ErrorKind::Spawn { .. });
    for seconds in [0, 1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let error = service.acquire().await.unwrap_err();
        assert!(is_spawn(&error), "{error}");
        let failed = Instant::now();
        if seconds > 0 {
            assert_eq!(retry_after(&service).await, Duration::from_secs(seconds));
            sleep_until(failed + Duration::from_secs(seconds) - MS).await;
            assert_eq!(retry_after(&service).await, MS);
            sleep(MS).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn within_the_pause_requests_fail_at_once_and_nothing_is_probed() {
    let fake = hopeless();
    let service = service(&fake, config());
    for _ in 0..2 {
        service.acquire().await.unwrap_err();
    }
    let probes = fake.count(What::Probed);
    for _ in 0..100 {
        retry_after(&service).await;
    }
    assert_eq!(fake.count(What::Probed), probes);
    assert_eq!(phase(&service), Phase::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_tells_the_failure_that_it_is_about() {
    let fake = hopeless();
    let service = service(&fake, config());
    for _ in 0..2 {
        service.acquire().await.unwrap_err();
    }
    let error = service.acquire().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::CrashLoop { failures: 2 });
    assert!(format!("{error}").contains("no such luck"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_by_itself() {
    let fake = hopeless();
    let service = service(&fake, config());
    service.acquire().await.unwrap_err();
    let probes = fake.count(What::Probed);
    sleep(1000 * SEC).await;
    assert_eq!(fake.count(What::Probed), probes);
}

/// Lets an instance live for so long and die; says whether the next one may follow at once.
async fn dies_after(service: &LocalService, fake: &Fake, life: Duration) -> bool {
    service.start().await.unwrap();
    // Two in a row, as the first failure is free.
    for _ in 0..2 {
        service.acquire().await.map(answer_without_end).unwrap();
        sleep(life).await;
        fake.exit(1);
        sleep(10 * MS).await;
    }
    let asked = service.acquire().await;
    asked.is_ok()
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_was_healthy_for_a_minute_is_no_failure() {
    for (life, counts) in [(59 * SEC, true), (61 * SEC, false)] {
        let fake = Fake::new();
        let service = service(&fake, config());
        assert_eq!(dies_after(&service, &fake, life).await, !counts, "{life:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_served_a_response_to_its_end_is_no_failure() {
    let fake = Fake::new();
    let service = service(&fake, config());
    for _ in 0..10 {
        drop(service.acquire().await.unwrap());
        fake.exit(1);
        sleep(10 * MS).await;
    }
    assert_eq!(fake.count(What::Spawned), 10);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_only_failed_its_requests_is_a_failure() {
    let fake = Fake::new();
    let service = service(&fake, config());
    for _ in 0..2 {
        service.acquire().await.map(fail_before_head).unwrap();
        fake.exit(1);
        sleep(10 * MS).await;
    }
    retry_after(&service).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_that_a_probe_sees_before_its_exit_is_known_is_a_failure() {
    let fake = Fake::new();
    let service = service(&fake, config());
    for _ in 0..2 {
        let lease = service.acquire().await.unwrap();
        sleep(2 * SEC).await;
        fail_before_head(lease);
        fake.script().running = Answer::Refused;
        fake.begin_exit();
        let waiter = asks(&service);
        sleep(50 * MS).await;
        // A lease of the next instance would prove that good.
        waiter.abort();
        fake.exit(1);
        fake.script().running = Answer::Ready;
        sleep(50 * MS).await;
    }
    assert_eq!(fake.count(What::Term), 0, "it was dead");
    retry_after(&service).await;
}

#[tokio::test(start_paused = true)]
async fn start_and_stop_clear_the_pause() {
    let fake = hopeless();
    let service = service(&fake, config());
    for preload in [true, false] {
        for _ in 0..3 {
            drop(service.acquire().await);
        }
        retry_after(&service).await;
        fake.script().spawn_error = None;
        if preload {
            service.start().await.unwrap();
        } else {
            service.stop().await.unwrap();
            service.acquire().await.unwrap();
        }
        service.stop().await.unwrap();
        fake.script().spawn_error = Some("again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_not_ready_in_time_counts() {
    let fake = Fake::new();
    fake.script().load_time = Duration::MAX;
    let service = service(&fake, config().ready_timeout(SEC));
    for _ in 0..2 {
        let error = service.acquire().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::ReadyTimeout { .. }));
    }
    retry_after(&service).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_file_system_refuses_is_looked_at_again_each_time() {
    let fake = Fake::new();
    let problem = crate::error::Problem::new("server", "command", "is missing");
    fake.script().problems = vec![problem];
    let service = service(&fake, config());
    for _ in 0..10 {
        let error = service.acquire().await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidConfig { .. }),
            "{error}"
        );
    }
    fake.script().problems.clear();
    service.acquire().await.unwrap();
}
