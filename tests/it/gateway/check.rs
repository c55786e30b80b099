//! `--check`, and what the gateway says of itself when it starts.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::support::{
    Fixture,
    gateway::{ConfigFile, Gateway, file, program, provider},
};

fn check(file: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(program())
        .arg("--check")
        .env("GATEWAY_CONFIG", file)
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.expect("the gateway");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

fn with_secrets(fixture: &Fixture) -> Value {
    let mut one = provider(fixture);
    one["apiKey"] = json!("a-secret-key");
    one["localService"]["env"] = json!({ "TOKEN": "a-secret-token" });
    one
}

#[test]
fn a_file_that_can_be_used_is_shown_with_its_warnings_and_nothing_is_started() {
    let fixture = Fixture::new();
    let config = json!({
        "models": { "providers": {
            "one": with_secrets(&fixture),
            "far": { "baseUrl": "https://user:a-secret-word@api.example.com/v1" },
            "unset": { "baseUrl": "http://127.0.0.1:1/v1", "apiKey": "${NOBODY_SETS_THIS}" },
        } },
        "agents": { "defaults": { "model": "one/tiny" } },
    });
    let file = ConfigFile::new(config.to_string());
    let (code, stdout, stderr) = check(&file.path());
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    let one = format!("provider `one` at {}", fixture.url(""));
    for part in [
        &one,
        "started on demand: models tiny",
        "provider `far` at https://api.example.com/v1, not started here: no models listed",
        "requests without a model are for one/tiny",
        "warning: `unset`: `apiKey`",
        "NOBODY_SETS_THIS",
    ] {
        assert!(stdout.contains(part), "{part:?} is not in {stdout}");
    }
    assert!(!stdout.contains("a-secret"), "{stdout}");
    assert!(fixture.starts().is_empty());
}

#[test]
fn a_file_that_cannot_be_used_is_reported_with_code_1() {
    let broken = json!({ "one": { "baseUrl": "no url" } });
    let (code, stdout, stderr) = check(&ConfigFile::new(file(&broken)).path());
    assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("`one` `baseUrl`"), "{stderr}");
}

#[test]
fn the_files_of_the_examples_can_be_used() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/config");
    let mut checked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "json5") {
            let (code, _, stderr) = check(&path);
            assert_eq!((code, &*stderr), (Some(0), ""), "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 6, "{checked}");
}

#[tokio::test]
async fn the_log_begins_with_what_is_configured_and_a_command_to_try() {
    let fixture = Fixture::new();
    let mut one = with_secrets(&fixture);
    one["baseUrl"] = json!(fixture.base_url());
    one["models"][0]["id"] = json!("it's tiny");
    let gateway = Gateway::start(&json!({ "one": one }));
    let comes = || {
        gateway.log().lines().find_map(|line| {
            let (_, command) = line.split_once("try ")?;
            Some(command.to_owned())
        })
    };
    let mut command = None;
    assert!(crate::support::blocking_until(|| {
        command = comes();
        command.is_some()
    }));
    let command = command.unwrap();
    let log = gateway.log();
    assert!(log.contains("provider `one` at"), "{log}");
    assert!(!log.contains("a-secret"), "{log}");
    // The shell that a person would copy it to, without curl: what it is called with.
    let arguments = command.strip_prefix("curl ").expect("curl");
    let printed = Command::new("sh")
        .args(["-c", &format!("printf '%s\\n' {arguments}")])
        .output()
        .unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let lines: Vec<_> = printed.lines().collect();
    let [url, "-H", "content-type: application/json", "-d", body] = lines[..] else {
        panic!("{printed}");
    };
    assert_eq!(url, gateway.url("/v1/chat/completions"));
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["model"], "one/it's tiny");
    assert_eq!(gateway.ask("/v1/chat/completions", &body).await.status, 200);
}
