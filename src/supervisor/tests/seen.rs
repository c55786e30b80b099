//! What users see of it, and what they may do to it.

use tokio::runtime::Builder;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_watch_tells_the_phases_in_order() {
    let fake = Fake::new();
    fake.script().load_time = SEC;
    fake.script().heeds_term = Some((1, SEC));
    let service = service(&fake, config().idle_stop(SEC));
    let mut watch = service.watch();
    let phases = Handle::current().spawn(async move {
        let mut phases = Vec::new();
        loop {
            let phase = watch.changed().await.phase;
            phases.push(phase);
            if phase == Phase::Stopped {
                return phases;
            }
        }
    });
    drop(service.acquire().await.unwrap());
    let expected = [
        Phase::Starting,
        Phase::Starting,
        Phase::Ready,
        Phase::Stopping,
        Phase::Stopping,
        Phase::Stopped,
    ];
    // The ownership is shown, too: none yet, then owned, and none again in the end.
    assert_eq!(phases.await.unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn single_leases_are_no_news() {
    let fake = Fake::new();
    let service = service(&fake, config());
    service.start().await.unwrap();
    let mut watch = service.watch();
    for _ in 0..100 {
        drop(service.acquire().await.unwrap());
    }
    let news = tokio::time::timeout(SEC, watch.changed()).await;
    assert!(news.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_status_tells_counts_and_ages_as_they_are_now() {
    let fake = Fake::new();
    fake.script().load_time = 10 * SEC;
    let service = service(&fake, config().idle_stop(300 * SEC));
    let waiters = [asks(&service), asks(&service)];
    sleep(SEC).await;
    let status = service.status();
    assert_eq!((status.waiters, status.leases, status.starts), (2, 0, 1));
    assert_eq!(status.pid, Some(1000));
    assert_eq!(status.up_for, None);
    // The first probe took a millisecond of it.
    assert_eq!(status.loading_for, Some(999 * MS));
    let mut leases = Vec::new();
    for waiter in waiters {
        leases.push(waiter.await.unwrap().unwrap());
    }
    sleep(60 * SEC).await;
    let status = service.status();
    assert_eq!((status.waiters, status.leases), (0, 2));
    assert_eq!((status.up_for, status.idle_for), (Some(60 * SEC), None));
    assert_eq!((status.loading_for, status.stops_in), (None, None));
    leases.clear();
    sleep(5 * SEC).await;
    let status = service.status();
    assert_eq!(status.idle_for, Some(5 * SEC));
    assert_eq!(status.stops_in, Some(295 * SEC));
    service.stop().await.unwrap();
    let status = service.status();
    assert_eq!(
        (status.pid, status.ownership, status.up_for),
        (None, None, None)
    );
}

#[tokio::test(start_paused = true)]
async fn the_journal_tells_what_happened_with_its_age() {
    let fake = Fake::new();
    fake.script().load_time = 60 * SEC;
    let service = service(&fake, config());
    drop(service.acquire().await.unwrap());
    let records = service.journal();
    let texts: Vec<_> = records.iter().map(ToString::to_string).collect();
    for part in ["Asked", "Owner", "Refused", "Spawned", "Ready"] {
        assert!(
            texts.iter().any(|text| text.contains(part)),
            "{part}: {texts:#?}"
        );
    }
    // A minute of the same answer is not a thousand records.
    assert!(texts.len() < 20, "{texts:#?}");
    assert!(records.is_sorted_by(|one, other| one.age() >= other.age()));
    assert!(records[0].age() >= 60 * SEC);
}

#[tokio::test(start_paused = true)]
async fn a_grant_to_a_waiter_that_has_just_left_gives_the_lease_back() {
    let fake = Fake::new();
    fake.script().load_time = 10 * SEC;
    let service = service(&fake, config().idle_stop(60 * SEC));
    let mut leaver = Box::pin(service.acquire());
    // It asks, and is not polled again when its answer comes.
    assert!(tokio::time::timeout(SEC, &mut leaver).await.is_err());
    sleep(10 * SEC).await;
    assert_eq!(service.status().leases, 1);
    drop(leaver);
    assert_eq!(service.status().leases, 0);
    sleep(61 * SEC).await;
    assert_eq!(phase(&service), Phase::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_anywhere_loses_no_lease() {
    for polls in 0..200 {
        let fake = Fake::new();
        fake.script().load_time = 10 * MS;
        let service = service(&fake, config().idle_stop(SEC));
        let mut acquire = Box::pin(service.acquire());
        for _ in 0..polls {
            let polled = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(acquire.as_mut().poll(cx).is_ready())
            });
            if polled.await {
                break;
            }
            sleep(MS).await;
        }
        drop(acquire);
        assert_eq!(service.status().leases, 0);
        let served = service.acquire().await;
        assert!(served.is_ok());
        assert_eq!(fake.count(What::Spawned), 1);
    }
}

/// A runtime with a paused clock that ends when it is dropped.
fn runtime() -> tokio::runtime::Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

#[test]
fn a_task_that_was_dropped_with_its_runtime_is_made_again_by_the_next_request() {
    let fake = Fake::new();
    let runtime = runtime();
    let (service, lease) = runtime.block_on(async {
        let service = service(&fake, config());
        let lease = service.acquire().await.unwrap();
        (service, lease)
    });
    drop(runtime);
    assert!(!fake.is_running());
    assert_eq!(phase(&service), Phase::Stopped);
    assert_eq!(service.status().leases, 0, "of the instance that is over");
    // The next one runs on the crate's own thread, on a clock that is not paused.
    let next = self::runtime().block_on(service.acquire()).unwrap();
    assert_ne!(lease.instance(), next.instance());
    assert_eq!(service.status().leases, 1);
    assert_eq!(fake.count(What::Spawned), 2);
}

#[test]
fn a_request_that_waits_when_the_runtime_of_the_task_ends_is_served_by_the_next() {
    let fake = Fake::new();
    fake.script().load_time = 3600 * SEC;
    let runtime = runtime();
    let service = runtime.block_on(async {
        let service = service(&fake, config());
        let waiter = asks(&service);
        sleep(SEC).await;
        waiter.abort();
        service
    });
    let waiter = {
        let service = service.clone();
        std::thread::spawn(move || self::runtime().block_on(service.acquire()))
    };
    while service.status().waiters == 0 && !waiter.is_finished() {
        // The task takes the request when its runtime is driven.
        runtime.block_on(sleep(MS));
    }
    fake.script().load_time = Duration::ZERO;
    drop(runtime);
    waiter.join().unwrap().unwrap();
    assert_eq!(fake.count(What::Spawned), 2);
}
