//! P5: what a probe finds before a start decides; after it, the server must be the one that was started.

use std::time::Duration;

use tower_local_service::{Error, ErrorKind, LocalService, Ownership, Phase};

use crate::support::{Fixture, Outside, eventually, get, ms, now, since, waiting, within};

/// An external server, and a service with the same address; in the order in which they end.
struct Case {
    service: LocalService,
    outside: Outside,
    ours: Fixture,
    stranger: Fixture,
}

fn case(flags: &[&str]) -> Case {
    let ours = Fixture::new();
    let stranger = flags
        .iter()
        .fold(Fixture::on(ours.port()), |fixture, flag| fixture.flag(flag));
    let outside = stranger.run_outside();
    let config = ours.config().ready_timeout(ms(1200)).probe_timeout(ms(500));
    let service = ours.configured("wanted", config);
    Case {
        service,
        outside,
        ours,
        stranger,
    }
}

fn assert_occupied(error: &Error, by: &str) {
    match error.kind() {
        ErrorKind::AddressInUse { by: what, .. } => assert!(what.contains(by), "{by}: {what}"),
        kind => panic!("{by}: {kind:?}"),
    }
}

#[tokio::test]
async fn a_server_with_an_expected_status_is_used() {
    for status in ["200", "204"] {
        let case = case(&["--health-status", status]);
        drop(case.service.acquire().await.unwrap());
        assert!(matches!(
            case.service.status().ownership,
            Some(Ownership::External { .. })
        ));
        assert!(case.ours.starts().is_empty());
    }
}

#[tokio::test]
async fn the_configuration_says_which_statuses_are_expected() {
    let case = case(&["--health-status", "404"]);
    let config = case.ours.config().health_status([404]);
    let service = case.ours.configured("four-o-four", config);
    drop(service.acquire().await.unwrap());
    assert!(matches!(
        service.status().ownership,
        Some(Ownership::External { .. })
    ));
    assert!(case.ours.starts().is_empty());
}

#[tokio::test]
async fn a_refused_connection_is_followed_by_a_start() {
    let fixture = Fixture::new();
    let service = fixture.service("refused");
    drop(service.acquire().await.unwrap());
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    assert_eq!(service.status().pid, Some(fixture.starts()[0]));
}

#[tokio::test]
async fn an_unexpected_answer_is_an_error_at_once_and_nothing_is_started() {
    let cases: [(&[&str], &str); 6] = [
        (&["--health-status", "404"], "404"),
        (&["--health-status", "500"], "500"),
        (&["--health-status", "401"], "401"),
        (&["--health-status", "403"], "403"),
        (&["--redirect", "http://127.0.0.1:9/v1/models"], "302"),
        (&["--garbage"], "not HTTP"),
    ];
    for (flags, by) in cases {
        let case = case(flags);
        let begun = now();
        let error = within(by, case.service.acquire()).await.unwrap_err();
        assert_occupied(&error, by);
        let text = error.to_string();
        assert!(text.contains("healthUrl"), "{text}");
        if cfg!(all(target_os = "linux", not(tower_local_service_portable))) {
            let program = format!("(pid {})", case.outside.pid());
            assert!(text.contains(&program), "{program}: {text}");
        }
        assert!(
            since(begun) < ms(1000),
            "it does not wait for another answer"
        );
        assert!(case.ours.starts().is_empty(), "{by}");
        assert!(case.outside.is_alive(), "{by}");
        assert_eq!(case.service.status().phase, Phase::Failed);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = Fixture::new();
    let _running = target.run_outside();
    let case = case(&["--redirect", &target.url("/v1/models")]);
    assert_occupied(&case.service.acquire().await.unwrap_err(), "302");
    assert!(target.requests().is_empty());
}

#[tokio::test]
async fn an_external_server_that_loads_is_waited_for() {
    let cases: [&[&str]; 4] = [
        &["--loading", "300"],
        &["--accept-and-hang", "--fault-for", "300"],
        &["--drop-connections", "--fault-for", "300"],
        &["--reset-connections", "--fault-for", "300"],
    ];
    for flags in cases {
        let case = case(flags);
        let config = case.ours.config().probe_timeout(ms(100));
        let service = case.ours.configured("patient", config);
        drop(within(flags[0], service.acquire()).await.unwrap());
        assert!(
            matches!(service.status().ownership, Some(Ownership::External { .. })),
            "{flags:?}"
        );
        assert!(case.ours.starts().is_empty(), "{flags:?}");
    }
}

#[tokio::test]
async fn a_loading_server_that_ends_is_replaced_by_an_owned_one() {
    let mut case = case(&["--health-status", "503"]);
    let patient = case.ours.service("patient");
    let waits = waiting(&patient).await;
    eventually("it is looked at", || case.stranger.requests().len() > 2).await;
    assert!(case.ours.starts().is_empty());
    case.outside.end();
    drop(within("our start", waits).await.unwrap());
    assert_eq!(patient.status().ownership, Some(Ownership::Owned));
    assert_eq!(case.ours.starts().len(), 1);
}

#[tokio::test]
async fn a_server_that_never_finishes_loading_is_given_up_and_not_stopped() {
    let cases: [(&[&str], &str); 4] = [
        (&["--health-status", "503"], "status 503"),
        (&["--accept-and-hang"], "no answer"),
        (&["--drop-connections"], "closed"),
        (&["--reset-connections"], "closed"),
    ];
    for (flags, saw) in cases {
        let case = case(flags);
        let error = within(saw, case.service.acquire()).await.unwrap_err();
        match error.kind() {
            ErrorKind::ReadyTimeout { last_probe, .. } => {
                assert!(last_probe.contains(saw), "{flags:?}: {last_probe}");
            }
            kind => panic!("{flags:?}: {kind:?}"),
        }
        assert!(case.ours.starts().is_empty(), "{flags:?}");
        assert!(case.outside.is_alive());
    }
}

#[tokio::test]
async fn a_proxy_whose_server_is_down_does_not_prevent_a_start() {
    for status in ["502", "504"] {
        let proxy = Fixture::new().with("--health-status", status);
        let _running = proxy.run_outside();
        let ours = Fixture::new();
        let config = ours.config().health_url(proxy.url("/v1/models"));
        let service = ours.configured("behind-a-proxy", config);
        let waits = waiting(&service).await;
        eventually("our start", || !ours.starts().is_empty()).await;
        get(proxy.port(), "/set-health/200").await.unwrap();
        drop(within("the proxy sees it", waits).await.unwrap());
        assert_eq!(
            service.status().ownership,
            Some(Ownership::Owned),
            "{status}"
        );
    }
}

#[tokio::test]
async fn an_owned_server_that_requires_credentials_fails_the_start_at_once() {
    for status in ["401", "403"] {
        let fixture = Fixture::new().with("--health-status", status);
        let service = fixture.service("rejects");
        let begun = now();
        let error = within("the error", service.acquire()).await.unwrap_err();
        match error.kind() {
            ErrorKind::HealthRejected { status: seen, .. } => {
                assert_eq!(seen.to_string(), status);
            }
            kind => panic!("{kind:?}"),
        }
        assert!(error.to_string().contains("healthHeaders"), "{error}");
        assert!(since(begun) < Duration::from_secs(5));
        fixture.is_gone().await;
    }
}

#[cfg_attr(windows, ignore = "a start by Wine takes longer than it waits")]
#[tokio::test]
async fn a_ready_timeout_names_the_answer_to_the_last_probe() {
    let cases = [
        ("404", "status 404"),
        ("500", "status 500"),
        ("503", "status 503"),
    ];
    for (status, saw) in cases {
        let fixture = Fixture::new().with("--health-status", status);
        let service = fixture.configured("unwanted", fixture.config().ready_timeout(ms(300)));
        let error = within("the error", service.acquire()).await.unwrap_err();
        match error.kind() {
            ErrorKind::ReadyTimeout { last_probe, .. } => assert_eq!(last_probe, saw),
            kind => panic!("{kind:?}"),
        }
        fixture.is_gone().await;
    }
    let fixture = Fixture::new().flag("--never-bind");
    let service = fixture.configured("deaf", fixture.config().ready_timeout(ms(300)));
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn another_program_that_takes_the_port_during_the_start_is_not_used() {
    use crate::support;

    let ours = Fixture::new().with("--delay-bind", 600);
    let stranger = Fixture::on(ours.port());
    let service = ours.service("robbed");
    let waits = waiting(&service).await;
    eventually("our start", || !ours.starts().is_empty()).await;
    let outside = stranger.run_outside();

    let lease = within("an answer", waits).await.unwrap();
    assert!(
        !support::is_alive(ours.starts()[0]),
        "ready only once ours is dead"
    );
    let status = service.status();
    assert!(matches!(
        (status.ownership, status.pid),
        (Some(Ownership::External { .. }), None)
    ));
    assert_eq!(
        support::ask(&service, &ours.url("/pid")).await.unwrap().1,
        outside.pid().to_string()
    );
    assert_eq!(ours.starts().len(), 1);
    drop(lease);
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn another_program_on_the_port_of_a_running_process_is_named() {
    let ours = Fixture::new().flag("--never-bind");
    let stranger = Fixture::on(ours.port());
    let service = ours.configured("robbed", ours.config().ready_timeout(ms(800)));
    let waits = waiting(&service).await;
    eventually("our start", || !ours.starts().is_empty()).await;
    let outside = stranger.run_outside();
    let error = within("an answer", waits).await.unwrap_err();
    match error.kind() {
        ErrorKind::ReadyTimeout { last_probe, .. } => {
            assert!(
                last_probe.contains(&outside.pid().to_string()),
                "{last_probe}"
            );
        }
        kind => panic!("{kind:?}"),
    }
    assert!(outside.is_alive());
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn another_program_that_shares_the_port_is_named() {
    let ours = Fixture::new()
        .flag("--reuse-port")
        .with("--delay-bind", 2000);
    let stranger = Fixture::on(ours.port()).flag("--reuse-port");
    let service = ours.configured("shared", ours.config().ready_timeout(ms(3500)));
    let waits = waiting(&service).await;
    eventually("our start", || !ours.starts().is_empty()).await;
    let outside = stranger.run_outside();
    let error = within("an answer", waits).await.unwrap_err();
    let named = matches!(
        error.kind(),
        ErrorKind::ReadyTimeout { last_probe, .. } if last_probe.contains(&outside.pid().to_string())
    );
    assert!(named, "{error}");
    let output = error.output_tail().unwrap();
    assert!(
        output.contains("listening on"),
        "ours had the port, too: {output}"
    );
}

#[cfg_attr(windows, ignore = "no process can become another one")]
#[tokio::test]
async fn a_listener_behind_a_wrapper_is_recognized() {
    for kind in ["wait", "exec"] {
        let fixture = Fixture::new().with("--wrapper", kind);
        let service = fixture.service("wrapped");
        drop(within(kind, service.acquire()).await.unwrap());
        assert_eq!(service.status().ownership, Some(Ownership::Owned), "{kind}");
    }
}
