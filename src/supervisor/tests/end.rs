//! When no handle is left.

use super::*;

/// The task ends, and takes everything with it.
async fn all_is_over(fake: &Fake) {
    for _ in 0..10 {
        if fake.is_forgotten() {
            break;
        }
        sleep(5 * SEC).await;
    }
    assert!(fake.is_forgotten(), "the task continues");
    assert!(!fake.is_running(), "an orphan");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_never_asked_leaves_nothing() {
    let fake = Fake::new();
    drop(service(&fake, config()));
    assert!(fake.is_forgotten());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_a_look_at_a_stranger() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Status(503);
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(SEC).await;
    waiter.abort();
    drop(service);
    all_is_over(&fake).await;
    assert_eq!(fake.count(What::Spawned), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_a_wait_for_the_address() {
    let (fake, other) = (Fake::new(), Fake::new());
    let claims = Arc::default();
    let holder = claimant(&other, "holder", &claims, config());
    let _stream = holder.acquire().await.unwrap();
    let service = claimant(&fake, "server", &claims, config());
    let waiter = asks(&service);
    sleep(SEC).await;
    waiter.abort();
    drop(service);
    all_is_over(&fake).await;
    assert!(
        holder.try_acquire().is_some(),
        "nobody waits for it any more"
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_a_spawn_in_flight() {
    let fake = Fake::new();
    fake.script().spawn_takes = 5 * SEC;
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(SEC).await;
    waiter.abort();
    drop(service);
    all_is_over(&fake).await;
    assert_eq!(fake.count(What::Spawned), 1);
    assert_eq!(fake.count(What::Term), 1, "it was given time to end");
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_a_start() {
    let fake = Fake::new();
    fake.script().load_time = 60 * SEC;
    let service = service(&fake, config());
    let waiter = asks(&service);
    sleep(SEC).await;
    waiter.abort();
    drop(service);
    all_is_over(&fake).await;
    assert_eq!(fake.count(What::Term), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_a_ready_service() {
    let fake = Fake::new();
    let service = service(&fake, config());
    service.start().await.unwrap();
    drop(service);
    all_is_over(&fake).await;
    assert_eq!(fake.count(What::Term), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_keeps_the_service_that_it_is_of() {
    let fake = Fake::new();
    let service = service(&fake, config());
    let lease = service.acquire().await.unwrap();
    drop(service);
    sleep(1000 * SEC).await;
    assert!(fake.is_running());
    assert_eq!(fake.count(What::Term), 0);
    drop(lease);
    all_is_over(&fake).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_leaves_an_external_server_alone() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Ready;
    let service = service(&fake, config());
    drop(service.acquire().await.unwrap());
    drop(service);
    all_is_over(&fake).await;
    assert_eq!((fake.count(What::Term), fake.count(What::Kill)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stop_continues_when_the_last_handle_is_gone() {
    let fake = Fake::new();
    fake.script().heeds_term = None;
    let service = service(&fake, config());
    service.start().await.unwrap();
    let stop = {
        let service = service.clone();
        Handle::current().spawn(async move { service.stop().await })
    };
    sleep(SEC).await;
    stop.abort();
    drop(service);
    all_is_over(&fake).await;
    assert_eq!((fake.count(What::Term), fake.count(What::Kill)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_port_is_waited_for_when_the_last_handle_is_gone() {
    let fake = Fake::new();
    let service = service(&fake, config());
    service.start().await.unwrap();
    fake.script().elsewhere = Answer::Closed;
    drop(service);
    sleep(SEC).await;
    assert!(!fake.is_forgotten());
    all_is_over(&fake).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_killed_is_waited_for_when_the_last_handle_is_gone() {
    let fake = Fake::new();
    fake.script().heeds_term = None;
    fake.script().heeds_kill = false;
    let service = service(&fake, config());
    service.start().await.unwrap();
    drop(service);
    sleep(1000 * SEC).await;
    assert!(!fake.is_forgotten());
    fake.vanish();
    all_is_over(&fake).await;
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_a_service_that_failed() {
    let fake = Fake::new();
    fake.script().spawn_error = Some("no");
    let service = service(&fake, config());
    service.acquire().await.unwrap_err();
    drop(service);
    all_is_over(&fake).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_of_the_supervisor_nothing_runs_and_the_next_request_starts_it_again() {
    let fake = Fake::new();
    let service = service(&fake, config());
    fake.script().panics = true;
    let waiters = [asks(&service), asks(&service)];
    for waiter in waiters {
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Internal {});
    }
    assert!(!fake.is_running());
    fake.script().panics = false;
    service.acquire().await.unwrap();
    assert_eq!(service.status().phase, Phase::Ready);
}
