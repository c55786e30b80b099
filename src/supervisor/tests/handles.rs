//! Several handles of one process.

use super::*;
use crate::machine::Want;

/// Two handles of one process.
fn pair(fake: &Fake, first: LocalServiceConfig, second: LocalServiceConfig) -> [LocalService; 2] {
    let core = Client::new(fake.clone(), Arc::default(), Some(Handle::current()));
    let core = Arc::new(core);
    [
        attach("first", &core, first),
        attach("second", &core, second),
    ]
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_time_wins_while_its_handle_lives() {
    let fake = Fake::new();
    let [short, long] = pair(
        &fake,
        config().idle_stop(60 * SEC),
        config().idle_stop(600 * SEC),
    );
    drop(short.acquire().await.unwrap());
    let idle_since = Instant::now();
    sleep(300 * SEC).await;
    assert_eq!(phase(&short), Phase::Ready);
    drop(long);
    sleep(MS).await;
    // What is left to wait for was over long ago.
    assert_eq!(fake.times(What::Term).len(), 1);
    assert!(Instant::now() - idle_since < 301 * SEC);
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_comes_while_ready_makes_the_idle_time_longer() {
    let fake = Fake::new();
    let core = Arc::new(Client::new(
        fake.clone(),
        Arc::default(),
        Some(Handle::current()),
    ));
    let short = attach("short", &core, config().idle_stop(60 * SEC));
    drop(short.acquire().await.unwrap());
    let idle_since = Instant::now();
    sleep(59 * SEC).await;
    let _never = attach("never", &core, config());
    sleep(10_000 * SEC).await;
    assert_eq!(fake.count(What::Term), 0);
    let _long = attach("long", &core, config().idle_stop(100 * SEC));
    sleep(SEC).await;
    assert_eq!(fake.count(What::Term), 0, "never is the longest");
    assert!(Instant::now() > idle_since);
}

#[tokio::test(start_paused = true)]
async fn the_longest_ready_timeout_wins_while_loading() {
    let fake = Fake::new();
    fake.script().load_time = 50 * SEC;
    let core = Arc::new(Client::new(
        fake.clone(),
        Arc::default(),
        Some(Handle::current()),
    ));
    let short = attach("short", &core, config().ready_timeout(10 * SEC));
    let waiter = asks(&short);
    sleep(9 * SEC).await;
    let _long = attach("long", &core, config().ready_timeout(100 * SEC));
    waiter.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ready_timeout_gets_shorter_with_the_handle_that_wanted_it_long() {
    let fake = Fake::new();
    fake.script().load_time = Duration::MAX;
    let [short, long] = pair(
        &fake,
        config().ready_timeout(10 * SEC),
        config().ready_timeout(100 * SEC),
    );
    let waiter = asks(&short);
    sleep(50 * SEC).await;
    assert!(!waiter.is_finished());
    drop(long);
    sleep(MS).await;
    assert!(waiter.is_finished());
}

#[tokio::test(start_paused = true)]
async fn the_longest_ready_timeout_wins_for_a_loading_stranger_too() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Status(503);
    let core = Arc::new(Client::new(
        fake.clone(),
        Arc::default(),
        Some(Handle::current()),
    ));
    let short = attach("short", &core, config().ready_timeout(10 * SEC));
    let waiter = asks(&short);
    sleep(9 * SEC).await;
    let _long = attach("long", &core, config().ready_timeout(100 * SEC));
    sleep(50 * SEC).await;
    fake.script().elsewhere = Answer::Ready;
    waiter.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_longest_abandon_grace_wins_for_a_start_that_is_abandoned_already() {
    let fake = Fake::new();
    fake.script().load_time = 60 * SEC;
    let core = Arc::new(Client::new(
        fake.clone(),
        Arc::default(),
        Some(Handle::current()),
    ));
    let short = attach("short", &core, config().abandon_grace(5 * SEC));
    let waiter = asks(&short);
    sleep(SEC).await;
    waiter.abort();
    sleep(SEC).await;
    let _never = attach("never", &core, config());
    sleep(60 * SEC).await;
    assert_eq!(fake.count(What::Term), 0);
    assert_eq!(phase(&short), Phase::Ready);
}

#[tokio::test(start_paused = true)]
async fn each_handle_gets_errors_under_its_own_name() {
    let fake = Fake::new();
    fake.script().spawn_error = Some("no");
    let [first, second] = pair(&fake, config(), config());
    let waiters = [asks(&first), asks(&second)];
    let names = ["first", "second"];
    for (waiter, name) in waiters.into_iter().zip(names) {
        assert_eq!(waiter.await.unwrap().unwrap_err().service(), name);
    }
    assert_eq!(fake.count(What::Spawned), 0);
    assert_eq!(second.status().last_error.unwrap().service(), "second");
}

#[tokio::test(start_paused = true)]
async fn leases_of_all_handles_are_counted_together() {
    let fake = Fake::new();
    let [first, second] = pair(&fake, config(), config());
    let _leases = [
        first.acquire().await.unwrap(),
        second.acquire().await.unwrap(),
    ];
    assert_eq!((first.status().leases, fake.count(What::Spawned)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_handle_that_was_shut_down_sends_its_waiters_away_and_no_others() {
    let fake = Fake::new();
    fake.script().load_time = 10 * SEC;
    let [first, second] = pair(&fake, config(), config());
    let (sent_away, stays) = (asks(&first), asks(&second));
    sleep(SEC).await;
    first.shut_down();
    let error = sent_away.await.unwrap().unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ShutDown {});
    stays.await.unwrap().unwrap();
    assert!(first.try_acquire().is_none());
    assert!(first.acquire().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_overlaps_a_shutdown_starts_nothing() {
    let fake = Fake::new();
    let core = Arc::new(Client::new(
        fake.clone(),
        Arc::default(),
        Some(Handle::current()),
    ));
    let settings = Arc::new(config().validate("late", "http://127.0.0.1:8080").unwrap());
    let attached = crate::supervisor::Attached {
        name: "late".to_owned(),
        settings,
    };
    let handle = core.attach(attached.clone());
    // It has seen that the handle is good, and asks only now that it no longer is.
    core.detach(handle);
    core.dismiss(handle);
    let error = core.ask(handle, &attached, Want::Lease).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::ShutDown {});
    assert_eq!(fake.count(What::Probed), 0);
}
