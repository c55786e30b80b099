//! A log that nobody reads, or that cannot be written.

use std::{
    fs::File,
    io::{PipeReader, Read as _, pipe},
    process::{Command, Stdio},
    thread,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{
    Fixture, blocking_until,
    gateway::{ConfigFile, Gateway, file, program, provider},
    ms,
};

fn config(fixture: &Fixture) -> ConfigFile {
    let mut one = provider(fixture);
    one["localService"]["idleStopMs"] = json!(300);
    ConfigFile::new(file(&json!({ "one": one })))
}

fn ask() -> Value {
    json!({ "model": "one/m" })
}

fn command(log: &str) -> Command {
    let mut command = Command::new(program());
    command.env("RUST_LOG", log).stdin(Stdio::null());
    command
}

/// Requests are served, servers are stopped when they are idle, and a signal drains.
async fn works(mut gateway: Gateway, fixture: &Fixture) {
    for _ in 0..2 {
        assert_eq!(gateway.ask("/v1/hello", &ask()).await.body, "hello");
        gateway.until("one", |it| it["phase"] == "stopped").await;
    }
    assert_eq!(gateway.ask("/v1/hello", &ask()).await.body, "hello");
    assert_eq!(fixture.starts().len(), 3);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn a_reader_that_is_gone_costs_nothing_but_lines() {
    let fixture = Fixture::new();
    let (reader, writer) = pipe().unwrap();
    let gateway = Gateway::run_as(config(&fixture), command("info"), writer);
    drop(reader);
    works(gateway, &fixture).await;
}

#[tokio::test]
async fn a_full_disk_costs_nothing_but_lines() {
    let fixture = Fixture::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let gateway = Gateway::run_as(config(&fixture), command("info"), full);
    works(gateway, &fixture).await;
}

/// Ctrl-S, a pager, a collector that is stopped.
#[tokio::test]
async fn a_reader_that_pauses_costs_nothing_but_lines() {
    let fixture = Fixture::new().with("--print", 400_000);
    let (reader, writer) = pipe().unwrap();
    let log = "info,tower_local_service::output=debug";
    let gateway = Gateway::run_as(config(&fixture), command(log), writer);
    works(gateway, &fixture).await;
    drop(reader);
}

#[tokio::test]
async fn what_was_lost_is_counted_when_somebody_reads_again() {
    let fixture = Fixture::new().with("--print", 1_000_000);
    let (reader, writer) = pipe().unwrap();
    let log = "info,tower_local_service::output=debug";
    let gateway = Gateway::run_as(config(&fixture), command(log), writer);
    assert_eq!(gateway.ask("/v1/hello", &ask()).await.body, "hello");
    let text = read(reader);
    let told = blocking_until(|| {
        let text = text.lock().unwrap();
        text.contains("lines of this log were lost")
    });
    assert!(told, "{}", text.lock().unwrap().len());
}

/// Reads more slowly than the gateway writes. A faster reader could begin before the first line is lost, and
/// then none would be.
fn read(mut from: PipeReader) -> std::sync::Arc<std::sync::Mutex<String>> {
    let text = std::sync::Arc::<std::sync::Mutex<String>>::default();
    let into = text.clone();
    thread::spawn(move || {
        let mut next = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut next) {
            let next = String::from_utf8_lossy(&next[..length]);
            into.lock().unwrap().push_str(&next);
            thread::sleep(ms(10));
        }
    });
    text
}
