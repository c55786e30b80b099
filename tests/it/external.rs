//! P1: a server that is already running is used as it is, and never stopped.

use std::time::Duration;

use tower_local_service::{
    Error, ErrorKind, LocalService, LocalServiceConfig, Ownership, Phase, Registry,
};

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
use crate::support::eventually;
use crate::support::{Fixture, Outside, ask, ms, within};

/// Long enough to notice a stop, as all stops are asked for at once.
const A_WHILE: Duration = ms(300);

fn assert_used(service: &LocalService, outside: &Outside) {
    let status = service.status();
    assert_eq!(status.phase, Phase::Ready);
    assert!(matches!(status.ownership, Some(Ownership::External { .. })));
    assert_eq!((status.pid, status.starts), (None, 0));
    assert!(outside.is_alive());
}

#[tokio::test]
async fn a_server_that_runs_already_is_used_and_nothing_is_started() {
    let fixture = Fixture::new();
    let outside = fixture.run_outside();
    let service = fixture.service("used");
    let (_, pid) = ask(&service, &fixture.url("/pid")).await.unwrap();
    assert_eq!(pid, outside.pid().to_string());
    assert_used(&service, &outside);
    assert_eq!(fixture.starts(), [outside.pid()]);
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn the_status_names_the_process_of_an_external_server() {
    let fixture = Fixture::new();
    let outside = fixture.run_outside();
    let service = fixture.service("named");
    drop(service.acquire().await.unwrap());
    eventually("its process is found", || {
        matches!(
            service.status().ownership,
            Some(Ownership::External { pid: Some(pid), .. }) if pid == outside.pid()
        )
    })
    .await;
    let refused = service.stop().await.unwrap_err();
    let process = format!("did not start (pid {})", outside.pid());
    assert!(refused.to_string().contains(&process), "{refused}");
}

#[tokio::test]
async fn a_server_that_runs_already_is_used_although_its_command_does_not_exist() {
    let fixture = Fixture::new();
    let mut outside = fixture.run_outside();
    let config = LocalServiceConfig::new("/nowhere/server");
    let service = fixture.configured("no-command", config);
    drop(service.acquire().await.unwrap());
    assert_used(&service, &outside);

    outside.end();
    // The end of an external server is not reported, so the first request may still be sent to it.
    let failed = within("the end is seen", async {
        loop {
            let error = ask(&service, &fixture.url("/hello")).await.unwrap_err();
            if let Some(error) = Error::find_in(&*error) {
                break error.clone();
            }
            tokio::time::sleep(ms(50)).await;
        }
    });
    let error = failed.await;
    assert!(
        matches!(error.kind(), ErrorKind::InvalidConfig { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_external_server_outlives_its_idle_time() {
    let fixture = Fixture::new().notes_signals();
    let outside = fixture.run_outside();
    let service = fixture.configured("idle", fixture.config().idle_stop(ms(20)));
    drop(service.acquire().await.unwrap());
    tokio::time::sleep(A_WHILE).await;
    assert!(outside.is_alive());
    assert!(fixture.terms().is_empty());
    drop(service.acquire().await.unwrap());
    assert_used(&service, &outside);
}

#[tokio::test]
async fn an_external_server_outlives_stop() {
    let fixture = Fixture::new().notes_signals();
    let outside = fixture.run_outside();
    let service = fixture.service("stop");
    let lease = service.acquire().await.unwrap();
    let refused = service.stop().await.unwrap_err();
    assert!(
        matches!(refused.kind(), ErrorKind::External { .. }),
        "{refused}"
    );
    tokio::time::sleep(A_WHILE).await;
    assert!(fixture.terms().is_empty());
    drop(lease);
    drop(service.acquire().await.unwrap());
    assert_used(&service, &outside);
}

#[tokio::test]
async fn an_external_server_outlives_shutdown_and_retirement() {
    let fixture = Fixture::new().notes_signals();
    let outside = fixture.run_outside();
    let registry = Registry::new();
    for name in ["retired", "shut-down"] {
        let service = registry
            .service(name, fixture.base_url(), fixture.config())
            .unwrap();
        drop(service.acquire().await.unwrap());
        match name {
            "retired" => registry.retire(&service).await,
            _ => registry.shutdown().await,
        }
        let refused = service.acquire().await.unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::ShutDown { .. }));
    }
    tokio::time::sleep(A_WHILE).await;
    assert!(outside.is_alive());
    assert!(fixture.terms().is_empty());
}

#[tokio::test]
async fn an_external_server_outlives_the_last_handle() {
    let fixture = Fixture::new().notes_signals();
    let outside = fixture.run_outside();
    let service = fixture.service("dropped");
    drop(service.acquire().await.unwrap());
    drop(service);
    tokio::time::sleep(A_WHILE).await;
    assert!(outside.is_alive());
    assert!(fixture.terms().is_empty());
}
