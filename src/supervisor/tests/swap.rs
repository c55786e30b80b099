//! Two services that cannot run side by side.

use super::*;

/// So many services on one address, each on a simulated machine of its own.
fn rivals<const N: usize>(config: &LocalServiceConfig) -> [(Fake, LocalService); N] {
    let claims = Arc::default();
    std::array::from_fn(|nth| {
        let fake = Fake::new();
        let service = claimant(&fake, &format!("no. {nth}"), &claims, config.clone());
        (fake, service)
    })
}

#[tokio::test(start_paused = true)]
async fn the_running_one_makes_way_when_its_leases_have_ended() {
    let [(first, one), (second, two)] = rivals(&config());
    let stream = one.acquire().await.unwrap();
    let waiter = asks(&two);
    sleep(60 * SEC).await;
    assert_eq!(
        (first.count(What::Term), second.count(What::Probed)),
        (0, 0)
    );
    drop(stream);
    waiter.await.unwrap().unwrap();
    assert!(!first.is_running() && second.is_running());
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_before_the_other_is_gone() {
    let [(first, one), (second, two)] = rivals(&config());
    first.script().heeds_term = Some((1, 4 * SEC));
    one.start().await.unwrap();
    let begun = Instant::now();
    two.acquire().await.unwrap();
    assert!(second.times(What::Probed)[0] >= begun + 4 * SEC);
}

#[tokio::test(start_paused = true)]
async fn a_swap_is_waited_for_until_its_timeout() {
    // To see the other go takes a millisecond or two.
    for (held_for, works) in [(29_990 * MS, true), (30_001 * MS, false)] {
        let [(_, one), (_, two)] = rivals(&config().swap_timeout(30 * SEC));
        let stream = one.acquire().await.unwrap();
        let waiter = asks(&two);
        sleep(held_for).await;
        drop(stream);
        let asked = waiter.await.unwrap();
        assert_eq!(asked.is_ok(), works, "{held_for:?}");
        if let Err(error) = asked {
            let ErrorKind::AddressInUse { by, .. } = error.kind() else {
                panic!("{error}");
            };
            assert!(by.contains("no. 0"), "{by}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_beside_what_survives_kill_until_it_is_gone_after_all() {
    let [(first, one), (second, two)] = rivals(&config().swap_timeout(30 * SEC));
    first.script().heeds_term = None;
    first.script().heeds_kill = false;
    one.start().await.unwrap();
    let begun = Instant::now();
    let error = two.acquire().await.unwrap_err();
    let named = matches!(error.kind(), ErrorKind::AddressInUse { by, .. } if by.contains("no. 0"));
    assert!(named, "{error}");
    assert_eq!(begun.elapsed(), 30 * SEC);
    assert_eq!(second.count(What::Spawned), 0);
    first.vanish();
    two.acquire().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_swap_timeout_a_request_fails_at_once_while_the_other_is_in_use() {
    let [(_, one), (_, two)] = rivals(&config().swap_timeout(Duration::ZERO));
    let _stream = one.acquire().await.unwrap();
    let begun = Instant::now();
    two.acquire().await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert!(one.try_acquire().is_some(), "nobody waits for it any more");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_streams_from_one_and_calls_the_other_gets_an_error() {
    let [(_, one), (_, two)] = rivals(&config());
    let stream = one.acquire().await.unwrap();
    let begun = Instant::now();
    two.acquire().await.unwrap_err();
    assert_eq!(begun.elapsed(), 120 * SEC);
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn the_running_service_continues_when_no_other_waits_for_its_address_any_more() {
    let [(fake, one), (_, two)] = rivals(&config());
    let stream = one.acquire().await.unwrap();
    let rival = asks(&two);
    sleep(SEC).await;
    let behind = asks(&one);
    sleep(SEC).await;
    assert!(!behind.is_finished());
    rival.abort();
    let lease = behind.await.unwrap().unwrap();
    assert_eq!(lease.instance(), stream.instance());
    assert_eq!(fake.count(What::Term), 0);
}

#[tokio::test(start_paused = true)]
async fn new_requests_of_the_running_one_queue_behind_the_swap() {
    let [(first, one), (second, two)] = rivals(&config());
    let stream = one.acquire().await.unwrap();
    let rival = asks(&two);
    sleep(SEC).await;
    assert!(one.try_acquire().is_none());
    let behind = asks(&one);
    sleep(SEC).await;
    drop(stream);
    let lease = rival.await.unwrap().unwrap();
    sleep(60 * SEC).await;
    assert!(!behind.is_finished());
    drop(lease);
    behind.await.unwrap().unwrap();
    assert_eq!(
        (first.count(What::Spawned), second.count(What::Spawned)),
        (2, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_service_that_waits_longest_comes_next_and_is_not_passed() {
    let [(first, one), (second, two), (third, three)] = rivals(&config());
    let stream = one.acquire().await.unwrap();
    let waiters = [asks(&two), asks(&three)];
    sleep(SEC).await;
    let again = asks(&one);
    sleep(SEC).await;
    drop(stream);
    for waiter in waiters {
        // The lease ends at once, which lets the next one in.
        drop(waiter.await.unwrap().unwrap());
    }
    drop(again.await.unwrap().unwrap());
    let spawns: Vec<_> = [&first, &second, &third]
        .into_iter()
        .flat_map(|fake| fake.times(What::Spawned))
        .collect();
    // Twice the first, then the second and the third, in between.
    assert!(spawns[0] < spawns[2] && spawns[2] < spawns[3] && spawns[3] < spawns[1]);
}

#[tokio::test(start_paused = true)]
async fn one_start_serves_all_waiters_of_the_swap() {
    let [(_, one), (fake, two)] = rivals(&config());
    let stream = one.acquire().await.unwrap();
    let waiters: Vec<_> = (0..10).map(|_| asks(&two)).collect();
    sleep(SEC).await;
    drop(stream);
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    assert_eq!(fake.count(What::Spawned), 1);
}

#[tokio::test(start_paused = true)]
async fn a_swap_clears_the_pause_after_failures() {
    let [(fake, one), (_, two)] = rivals(&config());
    let first = one.acquire().await.unwrap();
    first.suspect();
    answer_without_end(first);
    fake.exit(1);
    sleep(10 * MS).await;
    // One more unproven death would make it wait.
    let lease = one.acquire().await.unwrap();
    answer_without_end(lease);
    drop(two.acquire().await.unwrap());
    let lease = one.acquire().await.unwrap();
    answer_without_end(lease);
    fake.exit(1);
    sleep(10 * MS).await;
    one.acquire().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_external_server_needs_no_swap() {
    let [(first, one), (second, two)] = rivals(&config());
    for fake in [&first, &second] {
        fake.script().elsewhere = Answer::Ready;
    }
    let _stream = one.acquire().await.unwrap();
    let begun = Instant::now();
    two.acquire().await.unwrap();
    assert_eq!(begun.elapsed(), MS);
}
