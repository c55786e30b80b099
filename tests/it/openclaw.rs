//! The example that has a file in and a chat out, as its users run it.

use std::{
    fs,
    io::Read as _,
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Fixture, PROGRAM, blocking_until, example, is_alive};

/// The example with this file; where it is written goes with the fixture.
fn command(fixture: &Fixture, file: &Value, words: &[&str]) -> Command {
    with_text(fixture, &format!("// A comment.\n{file:#}"), words)
}

fn with_text(fixture: &Fixture, text: &str, words: &[&str]) -> Command {
    let path = fixture.path("openclaw.json5");
    fs::write(&path, text).unwrap();
    let mut command = Command::new(example("openclaw"));
    command.arg(path).args(words).stdin(Stdio::null());
    command.env("OPENCLAW_TEST_KEY", "sk-of-this-test");
    command
}

fn provider(fixture: &Fixture) -> Value {
    json!({
        "baseUrl": fixture.base_url(),
        "api": "openai-completions",
        "localService": { "command": PROGRAM, "args": fixture.args() },
        "models": [{ "id": "gemma", "name": "Gemma" }],
    })
}

fn file(providers: &Value, primary: &str) -> Value {
    json!({
        "gateway": { "port": 18789 },
        "models": { "providers": providers },
        "agents": { "defaults": { "model": { "primary": primary } } },
    })
}

fn answer(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// It fails with a message that says all of this.
fn assert_says(mut command: Command, says: &[&str]) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let (_, message) = told.rsplit_once("openclaw: ").expect("a message");
    assert!(message.lines().count() <= 3, "{told}");
    for part in says {
        assert!(message.contains(part), "{part:?} is not in {told}");
    }
    assert!(!told.contains("sk-of-this-test"), "{told}");
}

#[test]
fn a_question_starts_the_server_of_the_primary_model_and_prints_its_answer() {
    // Without the key of the file it is 401.
    let fixture = Fixture::new().with("--api-key", "${OPENCLAW_TEST_KEY}");
    let other = Fixture::new();
    let mut llama = provider(&fixture);
    llama["apiKey"] = json!({ "source": "env", "id": "OPENCLAW_TEST_KEY" });
    let providers = json!({ "llama": llama, "other": provider(&other) });
    let file = file(&providers, "llama/google/gemma");
    let output = command(&fixture, &file, &["Who are you?"])
        .output()
        .unwrap();
    assert_eq!(answer(&output), "The fixture streams one token at a time\n");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("llama was started"), "{told}");
    assert_eq!(fixture.starts().len(), 1);
    assert!(fixture.alive().is_empty(), "it is gone when the example is");
    assert!(other.starts().is_empty());
}

#[test]
fn a_model_that_is_named_is_asked_in_the_place_of_the_primary_one() {
    // Both have one URL. Without the header of the file it is 401.
    let primary = Fixture::new();
    let named = Fixture::on(primary.port()).with("--tokens", 2);
    let named = named.with("--api-key", "${OPENCLAW_TEST_KEY}");
    let headers = json!({ "authorization": "Bearer ${OPENCLAW_TEST_KEY}" });
    let mut guarded = provider(&named);
    guarded["headers"] = headers.clone();
    guarded["localService"]["healthHeaders"] = headers;
    let providers = json!({ "a": provider(&primary), "b": guarded });
    let file = file(&providers, "a/gemma");
    let words = ["b/any", "Who are you?"];
    let output = command(&named, &file, &words).output().unwrap();
    assert_eq!(answer(&output), "The fixture\n");
    assert_eq!((primary.starts().len(), named.starts().len()), (0, 1));
}

#[test]
fn a_timeout_of_the_file_counts() {
    let fixture = Fixture::new().with("--token-gap", 30_000);
    let mut slow = provider(&fixture);
    slow["timeoutSeconds"] = json!(1);
    let file = file(&json!({ "slow": slow }), "slow/gemma");
    let output = command(&fixture, &file, &["Who?"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("slow said nothing for 1s: set a longer timeoutSeconds"),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn an_interrupt_in_the_middle_of_the_answer_stops_the_server() {
    let fixture = Fixture::new()
        .with("--tokens", 100_000)
        .with("--token-gap", 20);
    let file = file(&json!({ "llama": provider(&fixture) }), "llama/gemma");
    let mut command = command(&fixture, &file, &["Who?"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut example = Ended(child.unwrap());
    // The first tokens are here while most are still to come.
    let mut first = [0; 3];
    example
        .0
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    assert_eq!(&first, b"The");
    assert!(is_alive(fixture.starts()[0]));
    kill_process(Pid::from_child(&example.0), Signal::INT).unwrap();
    let mut status = None;
    let ended = || {
        status = example.0.try_wait().unwrap();
        status.is_some()
    };
    assert!(blocking_until(ended), "it ends");
    assert_eq!(status.unwrap().code(), Some(130));
    assert!(fixture.alive().is_empty(), "nothing of it is left");
}

/// Ends the example if the test fails; the watchdog ends the server.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn what_goes_wrong_is_reported_with_what_to_do() {
    let fixture = Fixture::new();
    let told = |file: &Value, words: &[&str], says: &[&str]| {
        assert_says(command(&fixture, file, words), says);
    };
    let local = json!({ "llama": provider(&fixture) });
    let whole = file(&local, "llama/gemma");
    told(&whole, &[], &["openclaw FILE [PROVIDER/MODEL]"]);
    told(&whole, &["gpt/5", "Who?"], &["gpt/5", "write one of llama"]);
    told(
        &file(&local, "elsewhere/gemma"),
        &["Who?"],
        &["agents.defaults.model"],
    );
    let remote = json!({ "far": { "baseUrl": "https://api.example.com/v1" } });
    told(
        &file(&remote, "far/gpt"),
        &["Who?"],
        &["far", "https", "no TLS"],
    );
    let other =
        json!({ "claude": { "baseUrl": "http://127.0.0.1:1", "api": "anthropic-messages" } });
    told(
        &file(&other, "claude/x"),
        &["Who?"],
        &["anthropic-messages", "openai-completions only"],
    );

    let mut unset = whole.clone();
    unset["models"]["providers"]["llama"]["apiKey"] = json!("${OPENCLAW_TEST_NOT_SET}");
    told(
        &unset,
        &["Who?"],
        &["provider `llama`", "`apiKey`", "OPENCLAW_TEST_NOT_SET"],
    );
    let mut silent = whole.clone();
    silent["models"]["providers"]["llama"]["baseUrl"] = json!(fixture.url(""));
    silent["models"]["providers"]["llama"]["localService"]["healthUrl"] =
        json!(fixture.url("/v1/models"));
    told(
        &silent,
        &["Who?"],
        &["llama answered with status 404", "not found"],
    );

    assert_says(
        with_text(&fixture, "{ models: {\n providers: [] } }", &["Who?"]),
        &["models.providers", "line 2 column 13"],
    );
    let mut missing = Command::new(example("openclaw"));
    missing.args(["/nowhere/openclaw.json", "Who?"]);
    assert_says(missing, &["/nowhere/openclaw.json", "No such file"]);
}

#[test]
fn a_server_that_ends_at_once_is_reported_with_its_code_and_output() {
    let fixture = Fixture::new();
    let mut broken = provider(&fixture);
    broken["localService"] =
        json!({ "command": "/bin/sh", "args": ["-c", "echo no such gpu >&2; exit 3"] });
    let file = file(&json!({ "llama": broken }), "llama/gemma");
    assert_says(
        command(&fixture, &file, &["Who?"]),
        &["`llama` exited with code 3", "no such gpu"],
    );
}
