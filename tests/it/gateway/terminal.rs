//! The terminal in which the gateway runs, and which is closed.

use std::{
    os::fd::OwnedFd,
    process::{Command, Stdio},
};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Fixture,
    gateway::{ConfigFile, Gateway, file, program, provider},
    ignores, terminal,
};

/// A gateway in a terminal, with a server that runs.
async fn run(fixture: &Fixture, shell: &str, log: Option<Stdio>) -> (Gateway, OwnedFd) {
    let (window, inside) = terminal();
    // The terminal becomes that of the session.
    let mut command = Command::new("setsid");
    command.arg("--ctty");
    // As under `nohup`.
    if ignores(Signal::HUP) {
        command.args(["env", "--default-signal=HUP"]);
    }
    command.args(["sh", "-c", shell]).arg(program());
    command
        .stdin(inside.try_clone().unwrap())
        .env("RUST_LOG", "info");
    let log = log.unwrap_or_else(|| inside.into());
    let file = ConfigFile::new(file(&json!({ "one": provider(fixture) })));
    let gateway = Gateway::run_as(file, command, log);
    assert_eq!(gateway.post("/admin/one/start", "").await.status, 200);
    (gateway, window)
}

#[tokio::test]
async fn the_end_of_the_terminal_stops_the_servers_and_then_the_gateway() {
    for log in [None, Some(Stdio::null())] {
        let fixture = Fixture::new().notes_signals();
        let (mut gateway, window) = run(&fixture, r#"exec "$0" "$@""#, log).await;
        drop(window);
        assert_eq!(gateway.ended().code(), Some(0));
        assert_eq!(fixture.terms().len(), 1, "it was stopped in order");
        assert!(fixture.alive().is_empty());
    }
}

/// As `nohup` has it.
#[tokio::test]
async fn whoever_wants_it_to_outlive_the_terminal_is_heeded() {
    let fixture = Fixture::new();
    let nohup = r#"trap "" HUP; exec "$0" "$@""#;
    let (mut gateway, window) = run(&fixture, nohup, Some(Stdio::null())).await;
    drop(window);
    gateway.signal(Signal::HUP);
    let ask = json!({ "model": "one/m" });
    assert_eq!(gateway.ask("/v1/hello", &ask).await.body, "hello");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().code(), Some(0));
}

#[tokio::test]
async fn a_hang_up_from_a_terminal_that_is_there_reads_the_file() {
    let fixture = Fixture::new();
    let (gateway, window) = run(&fixture, r#"exec "$0" "$@""#, None).await;
    let two = json!({ "one": provider(&fixture), "two": { "baseUrl": "http://127.0.0.1:9/v1", "models": [{ "id": "m" }] } });
    gateway.file().write(file(&two));
    gateway.signal(Signal::HUP);
    let ask = json!({ "model": "two/m" });
    loop {
        let status = gateway.ask("/v1/hello", &ask).await.status;
        if status == 502 {
            break;
        }
        assert_eq!(status, 404);
    }
    drop(window);
}
