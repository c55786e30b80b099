//! P14: a stop sends TERM twice, then KILL, and nothing of the group is left.

use std::time::Duration;

use rustix::process::Signal;
use tower_local_service::{Error, ErrorKind, Phase};

use crate::support::{
    Fixture, PATIENCE, ask, eventually, group_of, is_alive, kill, members_of, ms, now, send,
    signal, since, waiting, within,
};

#[tokio::test]
async fn one_term_is_enough_for_a_server_that_handles_it() {
    let fixture = Fixture::new().notes_signals();
    let service = fixture.service("heeds");
    drop(service.acquire().await.unwrap());
    let group = group_of(fixture.starts()[0]).unwrap();
    within("the stop", service.stop()).await.unwrap();
    assert_eq!(fixture.terms().len(), 1);
    assert!(members_of(group).is_empty(), "the watchdog has ended, too");
    assert_eq!(service.status().phase, Phase::Stopped);
    assert!(service.status().pid.is_none());
}

#[tokio::test]
async fn a_second_term_comes_at_half_of_the_stop_timeout() {
    let fixture = Fixture::new().notes_signals().flag("--term-twice");
    let service = fixture.configured("twice", fixture.config().stop_timeout(ms(2000)));
    drop(service.acquire().await.unwrap());
    within("the stop", service.stop()).await.unwrap();
    let terms = fixture.terms();
    assert_eq!(terms.len(), 2);
    let between = terms[1].saturating_sub(terms[0]);
    assert!(ms(950) <= between && between < ms(1900), "{between:?}");
}

#[tokio::test]
async fn what_ignores_term_is_killed_at_the_end_of_the_stop_timeout() {
    let fixture = Fixture::new().notes_signals().flag("--ignore-term");
    let service = fixture.configured("stubborn", fixture.config().stop_timeout(ms(600)));
    drop(service.acquire().await.unwrap());
    let begun = now();
    within("the stop", service.stop()).await.unwrap();
    let took = since(begun);
    assert!(ms(600) <= took && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(fixture.terms().len(), 2);
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn a_server_behind_a_wrapper_has_time_to_end() {
    let fixture = Fixture::new()
        .with("--wrapper", "wait")
        .notes_signals()
        .with("--term-delay", 500);
    let service = fixture.service("wrapped");
    drop(service.acquire().await.unwrap());
    let begun = now();
    within("the stop", service.stop()).await.unwrap();
    assert!(since(begun) >= ms(500), "it was not waited for");
    assert_eq!(fixture.terms().len(), 1);
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn grandchildren_end_too() {
    let kinds: &[&[&str]] = &[
        &["--fork-grandchild"],
        &["--fork-grandchild", "--grandchild-ignores-term"],
        &["--fork-grandchild", "--grandchild-holds-output"],
        // Elsewhere, what has left the group is not found.
        #[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
        &["--setsid-grandchild", "--grandchild-ignores-term"],
    ];
    for flags in kinds {
        let fixture = flags.iter().fold(Fixture::new(), |it, flag| it.flag(flag));
        let service = fixture.configured("family", fixture.config().stop_timeout(ms(400)));
        drop(service.acquire().await.unwrap());
        eventually("the grandchild", || fixture.grandchildren().len() == 1).await;
        assert!(is_alive(fixture.grandchildren()[0]));
        within(flags[0], service.stop()).await.unwrap();
        assert!(
            fixture.alive().is_empty(),
            "{flags:?}: {:?}",
            fixture.alive()
        );
    }
}

#[tokio::test]
async fn a_grandchild_that_keeps_the_port_serves_no_request() {
    let fixture = Fixture::new()
        .flag("--fork-grandchild")
        .flag("--grandchild-holds-port");
    let service = fixture.service("heir");
    drop(service.acquire().await.unwrap());
    kill(fixture.starts()[0]);
    eventually("its end is known", || service.status().pid.is_none()).await;
    let (_, pid) = within("a new one", ask(&service, &fixture.url("/pid")))
        .await
        .unwrap();
    assert_eq!(pid, fixture.starts()[1].to_string());
}

#[tokio::test]
async fn a_suspended_process_is_continued_so_that_it_can_end() {
    let fixture = Fixture::new().notes_signals();
    let service = fixture.service("asleep");
    drop(service.acquire().await.unwrap());
    signal(fixture.starts()[0], Signal::STOP);
    let begun = now();
    within("the stop", service.stop()).await.unwrap();
    assert!(
        since(begun) < Duration::from_secs(5),
        "KILL would have come later"
    );
    assert_eq!(fixture.terms().len(), 1);
}

#[tokio::test]
async fn a_request_during_a_stop_waits_and_is_served_by_a_new_process() {
    let fixture = Fixture::new().notes_signals().with("--term-delay", 400);
    let service = fixture.service("again");
    drop(service.acquire().await.unwrap());
    let old = fixture.starts()[0];
    let (stopped, pid) = tokio::join!(service.stop(), async {
        eventually("the stop", || service.status().phase == Phase::Stopping).await;
        assert!(service.try_acquire().is_none());
        let asked = ask(&service, &fixture.url("/pid")).await;
        assert!(!is_alive(old));
        asked.unwrap().1
    });
    stopped.unwrap();
    assert_eq!(pid, fixture.starts()[1].to_string());
}

#[tokio::test]
async fn a_stop_delays_no_other_service() {
    let slow = Fixture::new().notes_signals().with("--term-delay", 1500);
    let other = Fixture::new();
    let (stopping, free) = (slow.service("slow"), other.service("other"));
    drop(stopping.acquire().await.unwrap());
    let begun = now();
    let (stopped, ()) = tokio::join!(stopping.stop(), async {
        eventually("the stop", || stopping.status().phase == Phase::Stopping).await;
        ask(&free, &other.url("/hello")).await.unwrap();
        assert!(
            since(begun) < ms(1400),
            "it waited for the stop of another service"
        );
    });
    stopped.unwrap();
}

#[tokio::test]
async fn several_stops_at_once_are_one() {
    let fixture = Fixture::new().notes_signals().with("--term-delay", 200);
    let service = fixture.service("stops");
    drop(service.acquire().await.unwrap());
    let (one, two, three) = tokio::join!(service.stop(), service.stop(), service.stop());
    one.and(two).and(three).unwrap();
    assert_eq!(fixture.terms().len(), 1);
    // A stop without a process is over at once.
    service.stop().await.unwrap();
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn a_stop_continues_when_its_future_is_dropped() {
    let fixture = Fixture::new().notes_signals().with("--term-delay", 200);
    let service = fixture.service("left");
    drop(service.acquire().await.unwrap());
    let stop = tokio::time::timeout(ms(20), service.stop());
    stop.await.unwrap_err();
    fixture.is_gone().await;
}

#[tokio::test]
async fn leases_do_not_delay_a_stop_and_their_responses_say_why() {
    let fixture = Fixture::new();
    let service = fixture.service("cut");
    let url = fixture.url("/hang");
    let (answer, stopped) = tokio::join!(send(&service, &url, PATIENCE), async {
        eventually("it is asked", || {
            fixture.requests().contains(&"GET /hang".to_owned())
        })
        .await;
        service.stop().await
    });
    stopped.unwrap();
    let error = answer.map(drop).unwrap_err();
    let error = Error::find_in(&*error).expect("our error");
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");
    assert_eq!(service.status().leases, 0);
}

#[tokio::test]
async fn a_start_that_is_stopped_leaves_nothing() {
    let fixture = Fixture::new().flag("--never-bind");
    let service = fixture.service("early");
    let waits = waiting(&service).await;
    eventually("the start", || !fixture.starts().is_empty()).await;
    drop(waits);
    within("the stop", service.stop()).await.unwrap();
    assert!(fixture.alive().is_empty());
    assert_eq!(service.status().phase, Phase::Stopped);
}
