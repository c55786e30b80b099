//! P8: a service that fails is not started again and again; an instance that served is no failure.

use std::{error::Error as _, time::Duration};

#[cfg(unix)]
use tower_local_service::LocalServiceConfig;
use tower_local_service::{Error, ErrorKind, LocalService, Phase};

use crate::support::{Fixture, ask, eventually, is_alive, kill, ms, now, since, within};
#[cfg(unix)]
use crate::support::{PROGRAM, group_of};

fn failing() -> Fixture {
    Fixture::new()
        .with("--print-line", "out of memory")
        .flag("--exit-at-start")
}

async fn failure(service: &LocalService) -> Error {
    within("an answer", service.acquire())
        .await
        .expect_err("it fails")
}

fn is_exit(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Exited { .. })
}

fn is_crash_loop(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::CrashLoop { .. })
}

#[tokio::test]
async fn the_first_failure_is_followed_by_a_start_at_once_the_next_by_a_pause() {
    let fixture = failing();
    let service = fixture.service("ladder");
    assert!(is_exit(&failure(&service).await));
    assert!(is_exit(&failure(&service).await));
    let begun = now();
    let error = failure(&service).await;
    assert!(
        matches!(error.kind(), ErrorKind::CrashLoop { failures: 2, .. }),
        "{error}"
    );
    let pause = error.retry_after().expect("it says when");
    assert!(
        Duration::ZERO < pause && pause <= Duration::from_secs(1),
        "{pause:?}"
    );
    assert_eq!(fixture.starts().len(), 2);
    assert_eq!(service.status().phase, Phase::Failed);

    // During the pause nothing is started, however many requests come.
    for _ in 0..50 {
        assert!(is_crash_loop(&failure(&service).await));
    }
    assert!(since(begun) < pause, "they fail at once");
    assert_eq!(fixture.starts().len(), 2);

    tokio::time::sleep(pause + ms(20)).await;
    assert!(is_exit(&failure(&service).await));
    let longer = failure(&service).await.retry_after().unwrap();
    assert!(
        Duration::from_secs(1) < longer && longer <= Duration::from_secs(2),
        "{longer:?}"
    );
    assert_eq!(fixture.starts().len(), 3);
}

#[tokio::test]
async fn a_crash_loop_names_its_cause() {
    let fixture = failing();
    let service = fixture.service("tells");
    failure(&service).await;
    failure(&service).await;
    let error = failure(&service).await;
    let cause = error
        .source()
        .expect("a cause")
        .downcast_ref::<Error>()
        .unwrap();
    assert!(is_exit(cause));
    assert!(error.output_tail().unwrap().contains("out of memory"));
    assert!(error.to_string().contains("exited with code 1"), "{error}");
}

#[tokio::test]
async fn start_and_stop_forgive() {
    let fixture = failing();
    let service = fixture.service("forgiven");
    for _ in 0..3 {
        failure(&service).await;
    }
    assert!(is_exit(&service.start().await.unwrap_err()));
    assert!(is_exit(&failure(&service).await));
    assert!(is_crash_loop(&failure(&service).await));
    service.stop().await.unwrap();
    assert!(is_exit(&failure(&service).await));
    assert_eq!(fixture.starts().len(), 5);
}

#[tokio::test]
async fn an_instance_that_served_is_no_failure() {
    let fixture = Fixture::new();
    let service = fixture.service("served");
    for _ in 0..5 {
        ask(&service, &fixture.url("/hello")).await.unwrap();
        let pid = service.status().pid.unwrap();
        kill(pid);
        eventually("its end is known", || service.status().pid != Some(pid)).await;
    }
    assert_eq!(fixture.starts().len(), 5);
}

/// Kills instances whose lease has received no response, until there is a pause.
async fn assert_counted(fixture: &Fixture, service: &LocalService, end: impl Fn(u32)) {
    for _ in 0..2 {
        let lease = within("a start", service.acquire())
            .await
            .expect("it starts");
        let pid = service.status().pid.expect("ours");
        end(pid);
        eventually("its end is known", || service.status().pid != Some(pid)).await;
        assert!(!is_alive(pid));
        // The lease of an instance that has ended does not count.
        drop(lease);
    }
    let last = service.status().last_error.expect("it tells what happened");
    assert!(is_exit(&last), "{last}");
    let error = failure(service).await;
    assert!(is_crash_loop(&error), "{error}");
    assert!(
        error.source().is_some(),
        "it tells what it is about: {error}"
    );
    assert_eq!(fixture.starts().len(), 2);
}

#[tokio::test]
async fn an_instance_that_ends_before_it_served_is_a_failure() {
    let fixture = Fixture::new();
    let service = fixture.service("unserved");
    assert_counted(&fixture, &service, kill).await;
}

// There is no watchdog on Windows.
#[cfg(unix)]
#[tokio::test]
async fn a_killed_watchdog_is_a_failure() {
    let fixture = Fixture::new();
    let service = fixture.service("unguarded");
    let kill_watchdog = |pid| kill(group_of(pid).expect("a group"));
    assert_counted(&fixture, &service, kill_watchdog).await;
}

#[tokio::test]
async fn a_ready_timeout_is_a_failure() {
    let fixture = Fixture::new().flag("--never-bind");
    let service = fixture.configured("late", fixture.config().ready_timeout(ms(100)));
    for _ in 0..2 {
        let error = failure(&service).await;
        assert!(
            matches!(error.kind(), ErrorKind::ReadyTimeout { .. }),
            "{error}"
        );
    }
    assert!(is_crash_loop(&failure(&service).await));
}

// By a script of a shell that every Unix has.
#[cfg(unix)]
#[tokio::test]
async fn a_service_that_recovers_serves_again() {
    let fixture = Fixture::new();
    let (mark, port) = (fixture.path("healed"), fixture.port());
    let script = format!("[ -e {mark} ] && exec {PROGRAM} --port {port}; exit 3");
    let config = LocalServiceConfig::new("/bin/sh").args(["-c", &script]);
    let service = fixture.configured("heals", config);
    failure(&service).await;
    failure(&service).await;
    let pause = failure(&service).await.retry_after().unwrap();
    std::fs::write(&mark, "").unwrap();
    tokio::time::sleep(pause + ms(20)).await;
    drop(service.acquire().await.unwrap());
    assert!(service.status().pid.is_some());
    service.stop().await.unwrap();
}
