//! What happens to servers and what they write, as it happens.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Fixture,
    gateway::{Gateway, all, provider, read_until},
};

const EVENTS: [(&str, &str); 1] = [("accept", "text/event-stream")];

/// The JSON of each event.
fn events(text: &str) -> Vec<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|it| serde_json::from_str(it).unwrap()).collect()
}

/// What happened, in order.
fn kinds(text: &str) -> Vec<String> {
    let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
    events(text).iter().map(kind).collect()
}

#[tokio::test]
async fn what_happens_to_servers_is_told_as_it_happens_and_for_an_hour() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let mut live = gateway.follow("/admin/events", &[]).await;
    assert_eq!(gateway.post("/admin/one/start", "").await.status, 200);
    let started = read_until(&mut live, r#""kind":"ready""#).await;
    assert_eq!(kinds(&started)[..3], ["starting", "loading", "ready"]);
    assert_eq!(gateway.post("/admin/one/stop", "").await.status, 200);
    let stopped = read_until(&mut live, r#""kind":"stopped""#).await;
    assert!(stopped.contains(r#""reason":"asked""#), "{stopped}");
    for event in events(&stopped) {
        assert_eq!(
            (&event["service"], &event["missed"]),
            (&json!("one"), &json!(0))
        );
    }

    // A reader that comes later gets the past events, or the rest of them.
    let mut later = gateway.follow("/admin/events?past", &[]).await;
    let past = read_until(&mut later, r#""kind":"stopped""#).await;
    assert_eq!(kinds(&past)[..3], ["starting", "loading", "ready"]);
    let id = past
        .lines()
        .find_map(|line| line.strip_prefix("id: "))
        .unwrap();
    let mut rest = gateway
        .follow("/admin/events", &[("last-event-id", id)])
        .await;
    let rest = read_until(&mut rest, r#""kind":"stopped""#).await;
    assert_eq!(kinds(&rest), kinds(&past)[1..]);
    // The number of an earlier gateway tells nothing.
    let mut whole = gateway
        .follow("/admin/events", &[("last-event-id", "1.0")])
        .await;
    let whole = read_until(&mut whole, r#""kind":"stopped""#).await;
    assert_eq!(whole, past);
}

#[tokio::test]
async fn a_failure_is_an_event_with_its_reason() {
    let fixture = Fixture::new().flag("--exit-at-start");
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let mut live = gateway.follow("/admin/events", &[]).await;
    gateway.post("/admin/one/start", "").await;
    let failed = read_until(&mut live, r#""kind":"failed""#).await;
    let last = events(&failed).pop().unwrap();
    assert!(last["error"].as_str().unwrap().contains("code 1"), "{last}");
}

#[tokio::test]
async fn what_a_server_writes_can_be_read_and_followed() {
    let fixture = Fixture::new()
        .with("--print-line", "loading the model")
        .with("--print-line", "the key is k-one-12345")
        .with("--api-key", "k-one-12345");
    let mut one = provider(&fixture);
    one["apiKey"] = json!("k-one-12345");
    let gateway = Gateway::start(&json!({ "one": one }));
    assert_eq!(gateway.get("/admin/one/log").await.body, "");
    let mut live = gateway.follow("/admin/one/log?follow", &[]).await;
    let mut lines = gateway.follow("/admin/one/log?follow", &EVENTS).await;
    assert_eq!(gateway.post("/admin/one/start", "").await.status, 200);

    let listens = format!("listening on http://127.0.0.1:{}", fixture.port());
    let text = read_until(&mut live, &format!("{listens}\n")).await;
    let written = "loading the model\nthe key is [redacted]\nfixture: ";
    assert_eq!(text, format!("{written}{listens}\n"));
    let begun = events(&read_until(&mut lines, &listens).await);
    assert_eq!(begun[0]["text"], "loading the model");
    assert_eq!(gateway.get("/admin/one/log").await.body, text);
    let last = gateway.get("/admin/one/log?lines=1").await;
    assert_eq!(last.body, format!("fixture: {listens}\n"));
    assert_eq!(
        last.header("content-type"),
        Some("text/plain; charset=utf-8")
    );

    let print = json!({ "model": "one/m" });
    assert_eq!(gateway.ask("/v1/print?bytes=100", &print).await.status, 204);
    let printed = events(&read_until(&mut lines, "....").await).pop().unwrap();
    assert_eq!(
        (&printed["stream"], &printed["missed"]),
        (&json!("stdout"), &json!(0))
    );
    assert!(
        printed["atMs"].as_u64() > Some(1_700_000_000_000),
        "{printed}"
    );
    assert!(read_until(&mut live, "\n").await.starts_with("...."));

    // The output of a later instance follows, and what was kept is not repeated.
    gateway.post("/admin/one/stop", "").await;
    gateway.post("/admin/one/start", "").await;
    let again = read_until(&mut live, &format!("{listens}\n")).await;
    assert_eq!(again, text);
    let refused = gateway.get("/admin/one/log?lines=some").await;
    assert_eq!(refused.failure(), (400, "invalid_request".into()));
    let refused = gateway.get("/admin/none/log").await;
    assert_eq!(refused.failure(), (404, "no_such_provider".into()));
}

/// A page that is open must not delay the end of the gateway.
#[tokio::test]
async fn what_is_followed_ends_with_the_gateway() {
    let fixture = Fixture::new();
    let mut gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let events = gateway.follow("/admin/events", &[]).await;
    let log = gateway.follow("/admin/one/log?follow", &[]).await;
    gateway.signal(Signal::TERM);
    assert!(all(events).await.is_ok());
    assert!(all(log).await.is_ok());
    assert!(gateway.ended().success());
}

#[tokio::test]
async fn the_status_has_what_an_operator_asks() {
    let fixture = Fixture::new()
        .with("--print-line", "loading the model")
        .with("--api-key", "k-one-12345");
    let mut one = provider(&fixture);
    one["apiKey"] = json!("k-one-12345");
    one["localService"]["idleStopMs"] = json!(600_000);
    let gateway = Gateway::start(&json!({ "one": one }));
    let stopped = gateway.status("one").await;
    assert_eq!(stopped["memoryBytes"], json!(null));
    gateway.post("/admin/one/start", "").await;
    let status = gateway
        .until("one", |it| it["stopsInMs"] != json!(null))
        .await;
    assert_eq!(status["phase"], "ready");
    assert_eq!(status["url"], fixture.url("/"));
    assert_eq!(status["models"], json!(["tiny"]));
    assert_eq!(status["lastOutput"][0], "loading the model");
    let command = status["command"].to_string();
    assert!(
        command.contains("fixture") && command.contains("[redacted]"),
        "{command}"
    );
    assert!(!status.to_string().contains("k-one-12345"), "{status}");
    let stops_in = status["stopsInMs"].as_u64().unwrap();
    assert!((1..=600_000).contains(&stops_in), "{status}");
    if cfg!(all(target_os = "linux", not(tower_local_service_portable))) {
        let memory = status["memoryBytes"].as_u64().unwrap();
        assert!((100_000..1_000_000_000).contains(&memory), "{status}");
    }
}

/// A program of that name stands in for the one of the driver.
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn the_memory_of_gpus_is_shown_where_nvidia_smi_tells() {
    use crate::support::gateway::{ConfigFile, file};

    use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

    let fixture = Fixture::new();
    let config = ConfigFile::new(file(&json!({ "one": provider(&fixture) })));
    let folder = config.path().with_file_name("bin");
    fs::create_dir_all(&folder).unwrap();
    let (program, says) = (folder.join("nvidia-smi"), folder.join("says"));
    fs::write(&program, format!("#!/bin/sh\ncat {}\n", says.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(crate::support::gateway::program());
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", folder.display()));
    let gateway = Gateway::run_as(config, command, std::process::Stdio::null());
    // Without asking for a status, which is not asked for again for some seconds.
    let hello = gateway.ask("/v1/hello", &json!({ "model": "one/m" })).await;
    assert_eq!(hello.status, 200);
    let pid = fixture.starts()[0];
    fs::write(
        &says,
        format!("1, 77\n{pid}, 1024\n{pid}, 512\nodd, [N/A]\n"),
    )
    .unwrap();
    let status = gateway.status("one").await;
    assert_eq!(status["gpuMemoryBytes"], json!(1536_u64 << 20), "{status}");
}

#[tokio::test]
async fn the_last_error_is_shown_in_three_lines() {
    let fixture = Fixture::new()
        .with("--print-line", "error: no such model")
        .flag("--exit-at-start");
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    gateway.post("/admin/one/start", "").await;
    let status = gateway.status("one").await;
    let error = status["lastErrorLines"].as_str().unwrap();
    let lines: Vec<_> = error.lines().collect();
    assert!(lines.len() <= 3 && lines[0].contains("code 1"), "{error}");
    assert!(error.contains("no such model"), "{error}");
}
