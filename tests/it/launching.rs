//! L2, L3, L5: commands that only start the server, stop commands, and the request that a server has to answer before it
//! is ready.

use std::{fs, time::Duration};

use tower_local_service::{
    Error, ErrorKind, LocalService, LocalServiceConfig, Ownership, Phase, ReadyRequest,
};

use crate::support::{
    Fixture, Pid, ask, eventually, group_of, is_alive, kill, ms, now, processes_with, since, within,
};

const SHELL: &str = "/bin/sh";

/// A server that its command leaves to a process of its own, as `kind` says.
fn daemon(kind: &str) -> Fixture {
    let fixture = Fixture::new().with("--wrapper", kind);
    let file = fixture.path("pid");
    fixture.with("--pid-file", file)
}

/// The process of the server, not of the command that started it.
fn pid(fixture: &Fixture) -> Pid {
    let text = fs::read_to_string(fixture.path("pid")).expect("it has bound its port");
    text.parse().expect("a number")
}

/// A shell that runs this script, in which `$1` is the folder of the test.
fn shell(fixture: &Fixture, script: &str) -> [String; 5] {
    [SHELL, "-c", script, "sh", &fixture.path("")].map(str::to_owned)
}

/// Ends the server, and waits for its end.
const STOPS: &str =
    r#"read -r pid <"$1/pid"; kill "$pid"; while kill -0 "$pid"; do sleep .02; done"#;

fn launcher(fixture: &Fixture, stop: &str) -> LocalServiceConfig {
    let config = fixture.config().launcher(true);
    config.stop_command(shell(fixture, stop))
}

/// This line is among its output.
async fn says(service: &LocalService, line: &str) {
    let mut output = service.output();
    let found = async { while output.next().await.text != line {} };
    within(line, found).await;
}

async fn stop(service: &LocalService) -> Result<(), Error> {
    within("the stop", service.stop()).await
}

#[tokio::test]
async fn a_server_that_its_command_leaves_to_a_daemon_is_started_used_and_stopped() {
    for kind in ["exit", "leave"] {
        let fixture = daemon(kind).with("--loading", 150);
        let config = launcher(&fixture, STOPS).idle_stop(ms(300));
        let service = fixture.configured(kind, config);
        for _ in 0..3 {
            let (_, answer) = ask(&service, &fixture.url("/pid")).await.unwrap();
            assert_eq!(answer, pid(&fixture).to_string());
        }
        assert_eq!(service.status().ownership, Some(Ownership::Owned));
        assert_eq!(service.status().starts, 1);
        let guarantees = service.status().guarantees.expect("it runs");
        assert!(!guarantees.dies_with_program, "{guarantees:?}");
        // It is idle, and its command ends it.
        fixture.is_gone().await;
        eventually("stopped", || service.status().phase == Phase::Stopped).await;
        assert_eq!(service.status().last_error.map(|it| it.to_string()), None);
        ask(&service, &fixture.url("/hello")).await.unwrap();
        assert_eq!(service.status().starts, 2);
        stop(&service).await.unwrap();
    }
}

#[tokio::test]
async fn a_daemon_is_ready_whether_its_command_ends_before_or_after_that() {
    // The command ends at once, or long after the server is ready.
    for (flag, delay) in [("--delay-bind", 300), ("--loading", 0)] {
        let fixture = daemon("leave").with(flag, delay);
        let service = fixture.configured("daemon", launcher(&fixture, STOPS));
        for _ in 0..2 {
            ask(&service, &fixture.url("/hello")).await.unwrap();
        }
        tokio::time::sleep(ms(100)).await;
        assert_eq!(service.status().phase, Phase::Ready);
        stop(&service).await.unwrap();
        assert!(fixture.alive().is_empty());
    }
}

#[tokio::test]
async fn a_command_that_ends_at_any_moment_of_the_start_does_not_end_the_start() {
    // The look whether it lives meets the command while it is torn down, once in a while.
    for _ in 0..15 {
        let fixture = daemon("exit");
        let service = fixture.configured("daemon", launcher(&fixture, STOPS));
        within("ready", ask(&service, &fixture.url("/hello")))
            .await
            .unwrap();
        stop(&service).await.unwrap();
    }
}

#[tokio::test]
async fn a_daemon_that_has_died_is_started_again_for_the_request_after_one_that_was_refused() {
    let fixture = daemon("leave");
    let service = fixture.configured("daemon", launcher(&fixture, STOPS));
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let former = pid(&fixture);
    kill(former);
    eventually("its end", || !is_alive(former)).await;
    drop(ask(&service, &fixture.url("/hello")).await);
    let (_, answer) = ask(&service, &fixture.url("/pid")).await.unwrap();
    assert_ne!(answer, former.to_string());
    stop(&service).await.unwrap();
}

#[tokio::test]
async fn a_command_that_fails_to_start_its_server_says_why_and_its_stop_command_runs() {
    let fixture = Fixture::new()
        .with("--print-line", "no such container")
        .flag("--exit-at-start")
        .with("--exit-code", 3);
    let service = fixture.configured("broken", launcher(&fixture, r#"echo "$1" >"$1/stopped""#));
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: Some(3), .. }),
        "{error}"
    );
    assert_eq!(error.output_tail(), Some("no such container\n"));
    let stopped = fixture.path("stopped");
    eventually("the stop command", || fs::exists(&stopped).unwrap()).await;
}

#[tokio::test]
async fn a_command_without_the_key_that_leaves_its_server_to_a_daemon_fails_with_a_hint() {
    let fixture = daemon("exit").with("--loading", 5000);
    let service = fixture.service("unsaid");
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: Some(0), .. }),
        "{error}"
    );
    assert!(error.hint().contains("`launcher`"), "{}", error.hint());
    fixture.is_gone().await;
}

#[tokio::test]
async fn after_a_stop_command_that_fails_the_server_is_ended_by_signals() {
    let fixture = Fixture::new().notes_signals();
    let config = fixture
        .config()
        .stop_command(shell(&fixture, "echo cannot >&2; exit 4"));
    let service = fixture.configured("fails", config);
    drop(service.acquire().await.unwrap());
    let begun = now();
    stop(&service).await.unwrap();
    // Not after the stop timeout, which is ten seconds.
    assert!(since(begun) < Duration::from_secs(5), "{:?}", since(begun));
    assert_eq!(fixture.terms().len(), 1);
    says(&service, "cannot").await;
}

#[tokio::test]
async fn a_stop_command_that_hangs_is_killed_with_all_that_it_started() {
    let fixture = Fixture::new().notes_signals();
    let script = r#"trap '' TERM; sleep 60 & echo $! >"$1/sleeper"; wait"#;
    let config = fixture.config().stop_timeout(ms(600));
    let config = config.stop_command(shell(&fixture, script));
    let service = fixture.configured("hangs", config);
    drop(service.acquire().await.unwrap());
    let begun = now();
    stop(&service).await.unwrap();
    let took = since(begun);
    assert!(ms(600) <= took && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(fixture.terms().len(), 1);
    let sleeper = fs::read_to_string(fixture.path("sleeper")).unwrap();
    let sleeper: Pid = sleeper.trim().parse().unwrap();
    eventually("nothing of it is left", || !is_alive(sleeper)).await;
    let mark = format!("{} ", fixture.path(""));
    eventually("the command is gone", || processes_with(&mark).is_empty()).await;
}

#[tokio::test]
async fn a_stop_command_that_lies_is_an_error_and_the_server_is_used_as_an_external_one() {
    let fixture = daemon("leave").unaudited();
    // Signals go to the group alone, which the server has left.
    let config = launcher(&fixture, "exit 0").stop_detached(false);
    let service = fixture.configured("liar", config.stop_timeout(ms(400)));
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let server = pid(&fixture);
    let error = stop(&service).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::StillAnswers { .. }),
        "{error}"
    );
    assert!(is_alive(server));
    assert_eq!(service.status().phase, Phase::Failed);

    let (_, answer) = ask(&service, &fixture.url("/pid")).await.unwrap();
    assert_eq!(answer, server.to_string());
    let ownership = service.status().ownership;
    assert!(
        matches!(ownership, Some(Ownership::External { .. })),
        "{ownership:?}"
    );
    kill(server);
    eventually("its end", || !is_alive(server)).await;
}

#[tokio::test]
async fn a_stop_command_runs_where_the_server_runs_and_has_its_variables() {
    let fixture = Fixture::new();
    let script = r#"echo "$PWD $MODEL"; kill "$(cat "$1/pid")""#;
    let config = fixture
        .config()
        .args(["--pid-file", &fixture.path("pid")])
        .cwd("/usr")
        .env("MODEL", "gemma")
        .stop_command(shell(&fixture, script));
    let service = fixture.configured("place", config);
    drop(service.acquire().await.unwrap());
    let group = group_of(pid(&fixture));
    stop(&service).await.unwrap();
    assert!(group.is_some());
    says(&service, "/usr gemma").await;
}

#[tokio::test]
async fn a_stop_command_that_is_not_there_refuses_the_start() {
    let fixture = Fixture::new();
    let config = fixture.config().stop_command(["/nonexistent/stop"]);
    let service = fixture.configured("missing", config);
    let error = within("the error", service.acquire()).await.unwrap_err();
    let ErrorKind::InvalidConfig { problems, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(problems[0].field, "stopCommand");
    assert!(fixture.starts().is_empty());
}

// === The ready request ===

fn asking(fixture: &Fixture, path: &str) -> LocalService {
    let request = ReadyRequest::post(path).json(r#"{"max_tokens": 1}"#);
    let config = fixture.config().ready_timeout(ms(2500));
    fixture.configured("asked", config.ready_request(request))
}

#[tokio::test]
async fn the_ready_request_is_the_warm_up_so_that_no_user_waits_for_it() {
    const WARM_UP: Duration = Duration::from_millis(1200);
    let fixture = Fixture::new().with("--warm-up", WARM_UP.as_millis());
    let service = asking(&fixture, "/echo");
    let lease = within("ready", service.acquire()).await.unwrap();
    assert!(lease.waited() >= WARM_UP, "{:?}", lease.waited());
    let begun = now();
    ask(&service, &fixture.url("/hello")).await.unwrap();
    assert!(since(begun) < WARM_UP / 2, "{:?}", since(begun));
    let asked = fixture
        .requests()
        .iter()
        .filter(|it| *it == "POST /echo")
        .count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn without_a_ready_request_the_first_user_waits_for_the_warm_up() {
    let fixture = Fixture::new().with("--warm-up", 600);
    let service = fixture.service("cold");
    drop(service.acquire().await.unwrap());
    let begun = now();
    ask(&service, &fixture.url("/hello")).await.unwrap();
    assert!(since(begun) >= ms(600), "{:?}", since(begun));
}

#[tokio::test]
async fn a_ready_request_that_is_answered_with_another_status_fails_the_start() {
    let fixture = Fixture::new();
    let service = asking(&fixture, "/status/404");
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::HealthRejected { status: 404, .. }),
        "{error}"
    );
    assert!(error.hint().contains("`readyRequest`"), "{}", error.hint());
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_ready_request_that_is_never_answered_is_a_timeout_that_says_so() {
    let fixture = Fixture::new();
    let service = asking(&fixture, "/hang");
    let begun = now();
    let error = within("the error", service.acquire()).await.unwrap_err();
    assert!(since(begun) >= ms(2500), "{:?}", since(begun));
    assert!(
        matches!(error.kind(), ErrorKind::ReadyTimeout { .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("its ready request POST"),
        "{error}"
    );
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_ready_request_waits_for_the_end_of_its_answer() {
    let fixture = Fixture::new();
    let service = asking(&fixture, "/stream?chunks=5&gap_ms=120");
    let lease = within("ready", service.acquire()).await.unwrap();
    assert!(lease.waited() >= ms(450), "{:?}", lease.waited());
}

#[tokio::test]
async fn a_server_that_runs_already_gets_no_ready_request() {
    let fixture = Fixture::new();
    let _outside = fixture.run_outside();
    let service = asking(&fixture, "/echo");
    ask(&service, &fixture.url("/hello")).await.unwrap();
    assert!(!fixture.requests().contains(&"POST /echo".to_owned()));
}
