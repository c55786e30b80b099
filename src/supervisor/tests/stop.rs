//! From a running process to nothing.

use super::*;

async fn ready(fake: &Fake, config: LocalServiceConfig) -> LocalService {
    let service = service(fake, config);
    service.start().await.unwrap();
    service
}

fn stops(service: &LocalService) -> JoinHandle<Result<(), Error>> {
    let service = service.clone();
    Handle::current().spawn(async move { service.stop().await })
}

#[tokio::test(start_paused = true)]
async fn a_stop_terminates_twice_and_kills_at_the_end_of_its_time() {
    let fake = Fake::new();
    fake.script().heeds_term = None;
    let service = ready(&fake, config()).await;
    let asked = Instant::now();
    service.stop().await.unwrap();
    let after = |what| -> Vec<_> {
        let times = fake.times(what);
        times.into_iter().map(|at| at - asked).collect()
    };
    assert_eq!(after(What::Term), [Duration::ZERO, 5 * SEC]);
    assert_eq!(after(What::Kill), [10 * SEC]);
    assert!(asked.elapsed() <= 10 * SEC + 2 * MS);
    assert!(!fake.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_process_that_heeds_a_term_is_not_killed() {
    for (term, takes) in [(1, 4_999 * MS), (2, 4_999 * MS)] {
        let fake = Fake::new();
        fake.script().heeds_term = Some((term, takes));
        let service = ready(&fake, config()).await;
        service.stop().await.unwrap();
        assert_eq!(fake.count(What::Term), term);
        assert_eq!(fake.count(What::Kill), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_stop_timeout_term_and_kill_follow_at_once() {
    let fake = Fake::new();
    fake.script().heeds_term = None;
    let service = ready(&fake, config().stop_timeout(Duration::ZERO)).await;
    let asked = Instant::now();
    service.stop().await.unwrap();
    assert_eq!(fake.times(What::Term)[0], asked);
    assert_eq!(fake.times(What::Kill), [asked]);
}

#[tokio::test(start_paused = true)]
async fn what_its_leader_leaves_behind_has_its_time_too() {
    let fake = Fake::new();
    fake.script().leaves_others = true;
    let service = ready(&fake, config()).await;
    let asked = Instant::now();
    service.stop().await.unwrap();
    assert_eq!(fake.times(What::Kill), [asked + 10 * SEC]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_takes_the_rest_of_the_group_with_it() {
    let fake = Fake::new();
    fake.script().leaves_others = true;
    let service = ready(&fake, config()).await;
    fake.exit(1);
    let crashed = Instant::now();
    sleep(10 * MS).await;
    assert_eq!(fake.times(What::Kill), [crashed]);
    assert!(!fake.is_running());
    service.acquire().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_survives_kill_is_unkillable_two_seconds_later_and_nothing_starts_over_it() {
    let fake = Fake::new();
    fake.script().heeds_term = None;
    fake.script().heeds_kill = false;
    let service = ready(&fake, config()).await;
    let pid = service.status().pid;
    let stop = stops(&service);
    sleep(MS).await;
    let waiter = asks(&service);
    sleep(11_997 * MS).await;
    assert!(!stop.is_finished() && !waiter.is_finished());
    sleep(4 * MS).await;
    for error in [
        stop.await.unwrap().unwrap_err(),
        waiter.await.unwrap().unwrap_err(),
    ] {
        assert_eq!(*error.kind(), ErrorKind::Unkillable { pid });
    }
    assert_eq!(phase(&service), Phase::Failed);
    let begun = Instant::now();
    for _ in 0..3 {
        let error = service.acquire().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unkillable { .. }));
        assert!(service.start().await.is_err());
        assert!(service.stop().await.is_err());
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    sleep(1000 * SEC).await;
    assert_eq!(fake.count(What::Spawned), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unkillable_service_recovers_when_its_process_is_gone_after_all() {
    let fake = Fake::new();
    fake.script().heeds_term = None;
    fake.script().heeds_kill = false;
    let service = ready(&fake, config()).await;
    assert!(service.stop().await.is_err());
    sleep(1000 * SEC).await;
    fake.vanish();
    sleep(MS).await;
    fake.script().heeds_kill = true;
    service.acquire().await.unwrap();
    assert_eq!(fake.count(What::Spawned), 2);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_still_answers_is_waited_for_for_two_seconds() {
    for (answers_for, takes) in [(1_900 * MS, 1_900 * MS), (60 * SEC, 2 * SEC)] {
        let fake = Fake::new();
        let service = ready(&fake, config()).await;
        fake.script().elsewhere = Answer::Closed;
        let asked = Instant::now();
        let stop = stops(&service);
        let other = fake.clone();
        let frees = Handle::current().spawn(async move {
            sleep(answers_for).await;
            other.script().elsewhere = Answer::Refused;
        });
        stop.await.unwrap().unwrap();
        let took = asked.elapsed();
        assert!(took >= takes && took <= takes + 60 * MS, "{took:?}");
        frees.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_that_was_not_free_before_is_not_waited_for() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Status(502);
    let service = ready(&fake, config()).await;
    let asked = Instant::now();
    service.stop().await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_during_a_stop_is_served_by_a_new_process() {
    let fake = Fake::new();
    fake.script().heeds_term = Some((1, 4 * SEC));
    let service = ready(&fake, config()).await;
    let first = service.acquire().await.unwrap();
    let stop = stops(&service);
    sleep(SEC).await;
    let second = service.acquire().await.unwrap();
    stop.await.unwrap().unwrap();
    assert_ne!(first.instance(), second.instance());
    assert_eq!(fake.count(What::Spawned), 2);
    assert_eq!(*first.stopped().unwrap().kind(), ErrorKind::Stopped {});
    assert!(second.stopped().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_start_and_its_waiters_are_served_by_a_new_one() {
    let fake = Fake::new();
    fake.script().load_time = 10 * SEC;
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(5 * SEC).await;
    service.stop().await.unwrap();
    assert!(!waiter.is_finished());
    waiter.await.unwrap().unwrap();
    assert_eq!(fake.count(What::Spawned), 2);
    assert_eq!(fake.count(What::Term), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_spawn_is_in_flight_stops_what_comes_of_it() {
    let fake = Fake::new();
    fake.script().spawn_takes = 5 * SEC;
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(SEC).await;
    let stop = stops(&service);
    waiter.abort();
    sleep(SEC).await;
    assert!(!stop.is_finished(), "it is not stopped before it was born");
    stop.await.unwrap().unwrap();
    assert_eq!(fake.count(What::Spawned), 1);
    assert!(!fake.is_running());
    assert_eq!(phase(&service), Phase::Stopped);
}

#[tokio::test(start_paused = true)]
async fn stops_at_the_same_time_are_one() {
    let fake = Fake::new();
    fake.script().heeds_term = Some((1, SEC));
    let service = ready(&fake, config()).await;
    let all: Vec<_> = (0..100).map(|_| stops(&service)).collect();
    for stop in all {
        stop.await.unwrap().unwrap();
    }
    assert_eq!(fake.count(What::Term), 1);
    service.stop().await.unwrap();
    assert_eq!(fake.count(What::Term), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_without_anything_that_runs_is_over_at_once() {
    let fake = Fake::new();
    let service = service(&fake, config());
    service.stop().await.unwrap();
    assert_eq!(fake.count(What::Probed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retired_instance_ends_when_its_leases_do() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    let lease = service.acquire().await.unwrap();
    let retired = service.client().retire(None);
    sleep(1000 * SEC).await;
    assert_eq!(fake.count(What::Term), 0);
    drop(lease);
    retired.await.unwrap().unwrap();
    assert!(!fake.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_retired_instance_ends_at_its_limit_whatever_leases_are_out() {
    let fake = Fake::new();
    let service = ready(&fake, config()).await;
    let lease = service.acquire().await.unwrap();
    let begun = Instant::now();
    let retired = service.client().retire(Some(30 * SEC));
    sleep_until(begun + 29_999 * MS).await;
    assert_eq!(fake.count(What::Term), 0);
    retired.await.unwrap().unwrap();
    assert_eq!(fake.times(What::Term), [begun + 30 * SEC]);
    assert!(lease.stopped().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_retired_instance_that_dies_of_a_taken_port_does_not_continue_as_an_external_server() {
    let fake = Fake::new();
    fake.script().output = "Address already in use".to_owned();
    let service = ready(&fake, config()).await;
    let lease = service.acquire().await.unwrap();
    let retired = service.client().retire(None);
    sleep(SEC).await;
    fake.script().elsewhere = Answer::Ready;
    fake.exit(1);
    let retired = tokio::time::timeout(60 * SEC, retired).await;
    retired.expect("it is over").unwrap().unwrap();
    assert!(service.try_acquire().is_none());
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn another_service_that_needs_the_address_does_not_lift_the_limit_of_a_retirement() {
    let (fake, other) = (Fake::new(), Fake::new());
    let claims = Arc::default();
    let service = claimant(&fake, "one", &claims, config());
    let rival = claimant(&other, "two", &claims, config().swap_timeout(10 * SEC));
    let _lease = service.acquire().await.unwrap();
    let begun = Instant::now();
    let retired = service.client().retire(Some(30 * SEC));
    sleep(SEC).await;
    rival.acquire().await.unwrap_err();
    assert_eq!(fake.count(What::Term), 0);
    let retired = tokio::time::timeout(60 * SEC, retired).await;
    retired.expect("it is over").unwrap().unwrap();
    assert_eq!(fake.times(What::Term), [begun + 30 * SEC]);
}

#[tokio::test(start_paused = true)]
async fn another_program_that_uses_the_server_postpones_the_idle_stop() {
    let fake = Fake::new();
    let service = ready(&fake, config().idle_stop(60 * SEC)).await;
    drop(service.acquire().await.unwrap());
    let idle_since = Instant::now();
    sleep_until(idle_since + 40 * SEC).await;
    fake.script().used = Some(Instant::now());
    sleep_until(idle_since + 90 * SEC).await;
    assert_eq!(fake.count(What::Term), 0);
    // Nobody looks before a stop is due.
    assert_eq!(fake.times(What::AskedForUse), [idle_since + 60 * SEC]);
    sleep_until(idle_since + 101 * SEC).await;
    assert_eq!(fake.times(What::Term), [idle_since + 100 * SEC]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_comes_and_ends_during_the_look_restarts_the_idle_time() {
    let fake = Fake::new();
    let service = ready(&fake, config().idle_stop(60 * SEC)).await;
    drop(service.acquire().await.unwrap());
    let idle_since = Instant::now();
    fake.script().use_takes = SEC;
    sleep_until(idle_since + 60 * SEC + 500 * MS).await;
    drop(service.try_acquire().expect("it is still open"));
    sleep_until(idle_since + 119 * SEC).await;
    assert_eq!(fake.count(What::Term), 0);
    sleep_until(idle_since + 123 * SEC).await;
    assert_eq!(fake.count(What::Term), 1);
}
