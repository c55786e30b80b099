//! Mistakes that are reported before anything is served.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Fixture, free_port,
    gateway::{ConfigFile, Gateway, file, program, provider},
};

fn run(file: &ConfigFile, args: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.arg("--config").arg(file.path()).args(args);
    command.output().expect("the gateway")
}

/// One line that says all of this, and an end with that code.
#[track_caller]
fn assert_refused(output: &Output, says: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = error
        .lines()
        .filter(|it| it.starts_with("gateway: "))
        .collect();
    assert_eq!(lines.len(), 1, "{error}");
    for part in says {
        assert!(lines[0].contains(part), "{part:?} is not in {error}");
    }
    assert!(!error.contains("panicked"), "{error}");
    assert!(!error.contains("listening"), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_file_that_is_not_there_is_reported() {
    let output = Command::new(program())
        .args(["--config", "/nowhere/at/all.json5"])
        .output();
    assert_refused(
        &output.expect("the gateway"),
        &["/nowhere/at/all.json5", "No such file", "correct the path"],
    );
}

#[test]
fn a_slip_in_the_syntax_is_reported_with_line_and_column() {
    let file = ConfigFile::new("{\n  models: {\n    providers: [ }\n}");
    assert_refused(&run(&file, &[]), &["config.json5", "line 3", "column"]);
}

#[test]
fn an_unknown_key_is_reported_with_its_path() {
    let fixture = Fixture::new();
    let mut one = provider(&fixture);
    one["localService"]["idleStopMS"] = json!(5);
    let file = ConfigFile::new(file(&json!({ "one": one })));
    let output = run(&file, &[]);
    assert_refused(
        &output,
        &["models.providers.one.localService", "idleStopMS", "line 1"],
    );
}

#[test]
fn all_that_cannot_work_is_reported_at_once_and_no_secret_with_it() {
    let file = ConfigFile::new(file(&json!({
        "one": { "baseUrl": "http://127.0.0.1:1/v1", "localService": { "command": "relative" } },
        "two": { "baseUrl": "no url" },
        "three": { "baseUrl": "http://127.0.0.1:2/v1", "apiKey": "${NOBODY_SETS_THIS}" },
        "four": { "baseUrl": "http://127.0.0.1:3/v1", "apiKey": "a-secret-key", "timeoutSeconds": 0 },
    })));
    let output = run(&file, &[]);
    assert_refused(
        &output,
        &[
            "`one` `localService.command`",
            "`two` `baseUrl`",
            "`three` `apiKey`",
            "NOBODY_SETS_THIS",
            "`four` `timeoutSeconds`",
        ],
    );
    assert!(!String::from_utf8_lossy(&output.stderr).contains("a-secret-key"));
}

#[test]
fn a_taken_port_is_reported() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&ConfigFile::new("{}"), &["--listen", &address]);
    assert_refused(&output, &[&address, "in use", "--listen"]);
}

#[tokio::test]
async fn where_to_listen_can_be_a_name_or_a_port() {
    for host in ["localhost:", ":", ""] {
        let port = free_port();
        let file = ConfigFile::new("{}");
        let mut gateway = Gateway::run(file, &["--listen", &format!("{host}{port}")]);
        assert_eq!(gateway.address(), ([127, 0, 0, 1], port).into());
        assert_eq!(gateway.get("/v1/models").await.status, 200);
        gateway.signal(Signal::TERM);
        gateway.ended();
    }
}

#[test]
fn the_version_is_printed() {
    let output = Command::new(program()).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
}

#[test]
fn what_is_no_argument_is_reported() {
    let file = ConfigFile::new("{}");
    for args in [
        ["--listen", "here"],
        ["--keep-alive", "0"],
        ["--keep-alive", "soon"],
        ["--drain", "never"],
        ["--body-limit", "much"],
        ["--allow-origin", "page.example"],
        ["--allow-origin", "http://page.example/path"],
        ["--allow-origin", "page.*"],
        ["--allow-origin", "http://*.example/*"],
        ["--listen", "localhost:many"],
        ["--listen", "127.0.0.1"],
        ["--lissten", "127.0.0.1:0"],
    ] {
        let output = run(&file, &args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.contains(args[0]), "{error}");
    }
}
