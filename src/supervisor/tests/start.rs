//! From the first request to ready.

use super::*;
use crate::launch::Listener;

/// A server that takes so long to load.
fn slow(load_time: Duration) -> Fake {
    let fake = Fake::new();
    fake.script().load_time = load_time;
    fake
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_comes_at_once_and_the_next_ones_after_one_percent_of_the_wait() {
    let fake = slow(8 * SEC);
    let service = service(&fake, config());
    let lease = service.acquire().await.unwrap();

    let probes = fake.times(What::Probed);
    let spawned = fake.times(What::Spawned)[0];
    // The first looks whether a server is running, and the second comes with the process.
    assert_eq!(spawned - probes[0], MS);
    assert_eq!(probes[1], spawned);
    for pair in probes[1..].windows(2) {
        // The probe itself takes a millisecond.
        let ended = pair[0] + MS;
        let (waited, pause) = (ended - spawned, pair[1] - ended);
        let expected = (waited / 100).clamp(MS, 50 * MS);
        // The clock of the test moves by milliseconds.
        assert!(
            pause >= expected && pause <= expected + MS,
            "{pause:?} after {waited:?}"
        );
    }
    assert!(lease.waited() >= 8 * SEC && lease.waited() <= 8 * SEC + 53 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_server_may_take_all_of_its_ready_timeout_and_no_more() {
    for (load_time, works) in [(119_900 * MS, true), (120_100 * MS, false)] {
        let fake = slow(load_time);
        let service = service(&fake, config());
        let begun = Instant::now();
        let asked = service.acquire().await;
        assert_eq!(asked.is_ok(), works);
        if let Err(error) = asked {
            // One probe before the start, then the time from the spawn.
            assert_eq!(begun.elapsed(), 120 * SEC + MS);
            let ErrorKind::ReadyTimeout { last_probe, .. } = error.kind() else {
                panic!("{error}");
            };
            assert_eq!(last_probe, "connection refused");
            assert_eq!(phase(&service), Phase::Stopping);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_waits_until_just_before_the_ready_timeout() {
    let fake = slow(Duration::MAX);
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(119_999 * MS).await;
    assert!(!waiter.is_finished());
    assert_eq!(phase(&service), Phase::Starting);
    sleep(3 * MS).await;
    assert!(waiter.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_silent_probe_does_not_outlive_the_deadline() {
    let fake = slow(Duration::MAX);
    fake.script().loading = Answer::Silent;
    let config = config().ready_timeout(5 * SEC).probe_timeout(60 * SEC);
    let service = service(&fake, config);
    let begun = Instant::now();
    let error = service.acquire().await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ReadyTimeout { .. }));
    assert_eq!(begun.elapsed(), 5 * SEC + MS);
}

#[tokio::test(start_paused = true)]
async fn a_strangers_server_is_waited_for_while_it_loads() {
    for loading in [Answer::Status(503), Answer::Silent, Answer::Closed] {
        let fake = Fake::new();
        fake.script().elsewhere = loading;
        let service = service(&fake, config());
        let waiter = asks(&service);
        sleep(117 * SEC).await;
        assert!(!waiter.is_finished(), "{loading}");
        fake.script().elsewhere = Answer::Ready;
        let lease = waiter.await.unwrap().unwrap();
        assert!(lease.waited() < 120 * SEC);
        assert_eq!(
            service.status().ownership,
            Some(Ownership::External { pid: None })
        );
        assert_eq!(fake.count(What::Spawned), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stranger_that_never_gets_ready_is_given_up_after_the_ready_timeout() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Status(503);
    let service = service(&fake, config());
    let begun = Instant::now();
    let error = service.acquire().await.unwrap_err();
    assert_eq!(begun.elapsed(), 120 * SEC);
    let ErrorKind::ReadyTimeout { last_probe, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(last_probe, "status 503");
    assert_eq!(fake.count(What::Spawned), 0);
    assert_eq!(phase(&service), Phase::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_loading_external_server_that_goes_away_is_followed_by_a_start() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Status(503);
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(100 * SEC).await;
    fake.script().elsewhere = Answer::Refused;
    fake.script().load_time = 100 * SEC;
    // The wait for the external server does not count for the start.
    waiter.await.unwrap().unwrap();
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
}

#[tokio::test(start_paused = true)]
async fn an_unexpected_answer_means_that_the_address_is_in_use() {
    for status in [404, 500, 301, 401] {
        let fake = Fake::new();
        fake.script().elsewhere = Answer::Status(status);
        let service = service(&fake, config());
        let begun = Instant::now();
        let error = service.acquire().await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::AddressInUse { .. }),
            "{error}"
        );
        assert!(begun.elapsed() <= 2 * MS);
        assert_eq!(fake.count(What::Spawned), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_whose_server_is_down_does_not_prevent_a_start() {
    for status in [502, 504] {
        let fake = Fake::new();
        fake.script().elsewhere = Answer::Status(status);
        let service = service(&fake, config());
        service.acquire().await.unwrap();
        assert_eq!(service.status().ownership, Some(Ownership::Owned));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wanted_answer_of_another_program_is_not_ready() {
    let fake = Fake::new();
    fake.script().listener = Listener::Other { pid: 7 };
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(60 * SEC).await;
    assert!(!waiter.is_finished());
    fake.script().listener = Listener::Own { exposed: None };
    waiter.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn whose_the_answer_is_does_not_matter_where_the_port_was_taken_before() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Status(502);
    fake.script().listener = Listener::Other { pid: 7 };
    let service = service(&fake, config());
    service.acquire().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_exit_of_our_process_is_worth_more_than_a_wanted_answer() {
    let fake = Fake::new();
    fake.script().load_time = 10 * SEC;
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(9 * SEC).await;
    // From now on the answers are those of another program, or its last ones.
    fake.begin_exit();
    sleep(5 * SEC).await;
    assert_eq!(phase(&service), Phase::Starting);
    fake.exit(3);
    let error = waiter.await.unwrap().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: Some(3), .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_exit_ends_the_wait_at_once_with_its_last_words() {
    let fake = slow(60 * SEC);
    fake.script().output = "no such model".to_owned();
    let service = service(&fake, config());
    let waiters: Vec<_> = (0..3).map(|_| asks(&service)).collect();
    sleep(10 * SEC).await;
    fake.exit(1);
    let exited = Instant::now();
    for waiter in waiters {
        let error = waiter.await.unwrap().unwrap_err();
        assert!(matches!(
            error.kind(),
            ErrorKind::Exited { code: Some(1), .. }
        ));
        assert_eq!(error.output_tail(), Some("no such model"));
    }
    assert!(exited.elapsed() <= 2 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_of_a_taken_port_is_started_once_more() {
    let fake = slow(60 * SEC);
    fake.script().output = "bind: Address already in use".to_owned();
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(SEC).await;
    fake.exit(1);
    sleep(SEC).await;
    assert!(!waiter.is_finished());
    assert_eq!(fake.count(What::Spawned), 2);
    fake.exit(1);
    let error = waiter.await.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Exited { .. }));
    assert_eq!(fake.count(What::Spawned), 2);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_where_another_answers_leaves_it_to_that() {
    let fake = slow(60 * SEC);
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(SEC).await;
    fake.script().elsewhere = Answer::Ready;
    fake.exit(1);
    waiter.await.unwrap().unwrap();
    assert_eq!(
        service.status().ownership,
        Some(Ownership::External { pid: None })
    );
    assert_eq!(
        service.status().last_error.map(|error| error.to_string()),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_continues_when_all_waiting_requests_have_left() {
    let fake = slow(60 * SEC);
    let service = service(&fake, config());
    for _ in 0..7 {
        let short = tokio::time::timeout(9 * SEC, service.acquire()).await;
        if short.is_ok() {
            break;
        }
    }
    assert_eq!(fake.count(What::Spawned), 1);
    assert_eq!(phase(&service), Phase::Ready);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_start_is_stopped_after_its_grace_and_not_before() {
    let fake = slow(60 * SEC);
    let service = service(&fake, config().abandon_grace(5 * SEC));
    let waiter = asks(&service);
    sleep(10 * SEC).await;
    waiter.abort();
    sleep(4_999 * MS).await;
    assert_eq!(phase(&service), Phase::Starting);
    sleep(2 * MS).await;
    assert_eq!(fake.count(What::Term), 1);
    sleep(SEC).await;
    // No start has failed.
    assert_eq!(phase(&service), Phase::Stopped);
    assert!(service.status().last_error.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_within_the_grace_keeps_the_start_going() {
    let fake = slow(60 * SEC);
    let service = service(&fake, config().abandon_grace(5 * SEC));
    let waiter = asks(&service);
    sleep(10 * SEC).await;
    waiter.abort();
    sleep(4_999 * MS).await;
    service.acquire().await.unwrap();
    assert_eq!(fake.count(What::Spawned), 1);
    assert_eq!(fake.count(What::Term), 0);
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_end_the_start_at_once() {
    for status in [401, 403] {
        let fake = slow(60 * SEC);
        fake.script().loading = Answer::Status(status);
        let service = service(&fake, config());
        let error = service.acquire().await.unwrap_err();
        let expected = ErrorKind::HealthRejected { status };
        assert_eq!(*error.kind(), expected);
        sleep(SEC).await;
        assert!(!fake.is_running());
    }
}

#[tokio::test(start_paused = true)]
async fn more_waiters_than_allowed_fail_at_once() {
    let fake = slow(60 * SEC);
    let service = service(&fake, config().max_waiters(2));
    let waiters = [asks(&service), asks(&service)];
    sleep(MS).await;
    let error = service.acquire().await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Overloaded { waiters: 2 });
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    // A request that does not have to wait is not one too many.
    let leases: Vec<_> = (0..5).map(|_| service.try_acquire()).collect();
    assert!(leases.iter().all(Option::is_some));
}

#[tokio::test(start_paused = true)]
async fn a_preload_waits_for_ready_and_keeps_no_lease() {
    let fake = slow(10 * SEC);
    let service = service(&fake, config().idle_stop(5 * SEC));
    let begun = Instant::now();
    service.start().await.unwrap();
    assert!(begun.elapsed() >= 10 * SEC);
    assert_eq!(service.status().leases, 0);
    sleep(4_999 * MS).await;
    assert_eq!(phase(&service), Phase::Ready);
    sleep(2 * MS).await;
    assert_eq!(fake.count(What::Term), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_requests_make_one_start() {
    let fake = slow(SEC);
    let service = service(&fake, config());
    let waiters: Vec<_> = (0..1000).map(|_| asks(&service)).collect();
    let mut leases = Vec::new();
    for waiter in waiters {
        leases.push(waiter.await.unwrap().unwrap());
    }
    assert_eq!(service.status().leases, 1000);
    assert_eq!(fake.count(What::Spawned), 1);
}
