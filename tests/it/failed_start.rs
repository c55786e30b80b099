//! P8: a failed start gives the reason to all waiting requests.

use std::time::Duration;
#[cfg(unix)]
use std::{fs, os::unix::fs::PermissionsExt as _};

use tower_local_service::{ErrorKind, Phase};
#[cfg(unix)]
use tower_local_service::{LocalService, LocalServiceConfig};

use crate::support::{Fixture, eventually, is_alive, ms, now, since, waiting, within};
#[cfg(unix)]
use crate::support::{PROGRAM, group_of, kill};

#[tokio::test]
async fn an_exit_is_reported_with_its_code_its_output_and_how_long_it_took() {
    let fixture = Fixture::new()
        .with("--print-line", "cannot find the model")
        .with("--exit-code", 7)
        .with("--exit-after", 60)
        .flag("--never-bind");
    let service = fixture.service("exits");
    let error = service.acquire().await.unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Exited {
            code: Some(7),
            signal: None,
            ..
        }
    ));
    assert!(
        error
            .output_tail()
            .unwrap()
            .contains("cannot find the model")
    );
    let text = error.to_string();
    for part in [
        "`exits`",
        "code 7",
        "after its start",
        "cannot find the model",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let status = service.status();
    assert_eq!(status.phase, Phase::Failed);
    assert_eq!(status.last_error.unwrap().kind(), error.kind());
}

#[tokio::test]
async fn an_immediate_exit_is_reported_with_its_output() {
    let fixture = Fixture::new()
        .with("--print-line", "no such flag")
        .flag("--exit-at-start");
    let error = fixture.service("exits").acquire().await.unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Exited { code: Some(1), .. }
    ));
    assert!(error.output_tail().unwrap().contains("no such flag"));
}

// An abort is an exit code on Windows.
#[cfg(unix)]
#[tokio::test]
async fn a_death_is_reported_with_its_signal() {
    let fixture = Fixture::new()
        .with("--abort-after", 50)
        .flag("--never-bind");
    let error = fixture.service("aborts").acquire().await.unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Exited {
            code: None,
            signal: Some(6),
            ..
        }
    ));
    assert!(error.to_string().contains("SIGABRT"), "{error}");
}

#[tokio::test]
async fn all_waiters_get_the_same_error() {
    let fixture = Fixture::new()
        .with("--exit-after", 200)
        .flag("--never-bind");
    let service = fixture.service("fails");
    let mut waiters = Vec::new();
    for _ in 0..20 {
        waiters.push(waiting(&service).await);
    }
    let mut texts = Vec::new();
    for waiter in waiters {
        texts.push(within("the error", waiter).await.unwrap_err().to_string());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert_eq!(fixture.starts().len(), 1);
}

#[cfg(unix)]
async fn assert_invalid(service: &LocalService, field: &str) {
    // Each time, without a pause: nothing was started.
    for _ in 0..4 {
        let error = service.acquire().await.unwrap_err();
        let ErrorKind::InvalidConfig { problems, .. } = error.kind() else {
            panic!("{error}");
        };
        assert_eq!(problems[0].field, field, "{error}");
        assert_eq!(problems[0].service, service.name());
    }
    assert_eq!(service.status().starts, 0);
}

// Windows has no modes of files.
#[cfg(unix)]
#[tokio::test]
async fn a_command_that_cannot_be_run_is_refused_each_time() {
    let fixture = Fixture::new();
    let plain = fixture.path("plain-file");
    fs::write(&plain, "no program").unwrap();
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    let folder = fixture.folder().display().to_string();
    let missing = fixture.path("missing");
    for command in [&missing, &folder, &plain] {
        let service = fixture.configured(command, LocalServiceConfig::new(command));
        assert_invalid(&service, "command").await;
    }
    let service = fixture.configured("no-cwd", fixture.config().cwd(&missing));
    assert_invalid(&service, "cwd").await;
}

// A link needs a right on Windows.
#[cfg(unix)]
#[tokio::test]
async fn a_command_that_appears_is_started_by_the_next_request() {
    let fixture = Fixture::new();
    let command = fixture.path("server");
    let config = LocalServiceConfig::new(&command).args(["--port", &fixture.port().to_string()]);
    let service = fixture.configured("installed-later", config);
    assert_invalid(&service, "command").await;
    std::os::unix::fs::symlink(PROGRAM, &command).unwrap();
    drop(service.acquire().await.unwrap());
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_waiter_whose_start_is_stopped_is_served_by_a_new_one() {
    let fixture = Fixture::new().with("--delay-bind", 400);
    let service = fixture.service("stopped");
    let waits = waiting(&service).await;
    eventually("the start", || fixture.starts().len() == 1).await;
    within("the stop", service.stop()).await.unwrap();
    assert!(!is_alive(fixture.starts()[0]));
    let lease = within("a new start", waits).await.unwrap();
    assert_eq!(fixture.starts().len(), 2);
    drop(lease);
}

// There is no watchdog on Windows.
#[cfg(unix)]
#[tokio::test]
async fn a_killed_watchdog_ends_its_group_and_is_an_exit() {
    let fixture = Fixture::new()
        .flag("--never-bind")
        .flag("--fork-grandchild");
    let service = fixture.service("unguarded");
    let waits = waiting(&service).await;
    eventually("the start", || fixture.starts().len() == 1).await;
    eventually("the grandchild", || fixture.grandchildren().len() == 1).await;
    let watchdog = group_of(fixture.starts()[0]).unwrap();
    assert_ne!(watchdog, fixture.starts()[0]);
    kill(watchdog);
    let error = within("the error", waits).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Exited { .. }), "{error}");
    within("the group", fixture.is_gone()).await;
}

#[tokio::test]
async fn an_exit_is_reported_at_once_although_grandchildren_hold_the_output() {
    let fixture = Fixture::new()
        .flag("--fork-grandchild")
        .flag("--grandchild-holds-output")
        .with("--print-line", "last words")
        .with("--exit-after", 100)
        .flag("--never-bind");
    let begun = now();
    let error = fixture.service("leaves").acquire().await.unwrap_err();
    assert!(error.output_tail().unwrap().contains("last words"));
    assert!(since(begun) < Duration::from_secs(5));
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_wrapper_that_exits_before_its_server_is_ready_fails_the_start() {
    let fixture = Fixture::new()
        .with("--wrapper", "exit")
        .with("--delay-bind", 2000);
    let service = fixture.configured("wrapper", fixture.config().stop_timeout(ms(500)));
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: Some(0), .. }),
        "{error}"
    );
    fixture.is_gone().await;
}
