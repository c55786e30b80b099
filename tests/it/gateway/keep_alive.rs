//! Streaming requests that have to wait: comments, then the answer or an event that says why not.

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    Fixture,
    gateway::{Gateway, Reply, all, chat_provider, provider},
};

const COMMENT: &str = ": waiting for the model\n\n";
const PACE: [&str; 2] = ["--keep-alive", "0.2"];

fn chat(stream: bool) -> Value {
    json!({ "messages": [], "stream": stream, "model": "one/m" })
}

async fn ask(fixture: &Fixture, args: &[&str], chat: &Value) -> Reply {
    let gateway = Gateway::start_with(&json!({ "one": chat_provider(fixture) }), args);
    gateway.ask("/v1/chat/completions", chat).await
}

/// The only event of a stream, which is an error.
#[track_caller]
fn only_error(body: &str) -> Value {
    let event = body.trim_start_matches(COMMENT).trim_end();
    let data = event.strip_prefix("data: ").expect("an event");
    let json: Value = serde_json::from_str(data).expect("one event");
    json["error"].clone()
}

#[tokio::test]
async fn a_client_that_waits_long_gets_comments_and_then_the_answer() {
    let fixture = Fixture::new().with("--delay-bind", 1500);
    let begun = Instant::now();
    let reply = ask(&fixture, &PACE, &chat(true)).await;
    let took = begun.elapsed();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    let answer = reply.body.trim_start_matches(COMMENT);
    let comments = (reply.body.len() - answer.len()) / COMMENT.len();
    let most = took.as_millis() / 200;
    assert!(
        comments > 1 && comments as u128 <= most,
        "{comments} in {took:?}"
    );
    assert!(answer.starts_with("data: {"), "{answer}");
    assert!(answer.ends_with("data: [DONE]\n\n"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_wait_long_gets_the_answer_alone() {
    let fixture = Fixture::new();
    let reply = ask(&fixture, &[], &chat(true)).await;
    assert!(reply.body.starts_with("data: {"), "{}", reply.body);
}

#[tokio::test]
async fn a_client_that_does_not_stream_gets_no_comments() {
    let fixture = Fixture::new().with("--delay-bind", 700);
    let reply = ask(&fixture, &PACE, &chat(false)).await;
    assert_eq!(reply.json()["object"], "chat.completion");
}

#[tokio::test]
async fn a_failure_before_the_first_comment_has_its_status() {
    let fixture = Fixture::new().flag("--exit-at-start");
    let reply = ask(&fixture, &[], &chat(true)).await;
    assert_eq!(reply.failure(), (502, "exited".into()));
}

#[tokio::test]
async fn a_failure_after_the_first_comment_is_an_event() {
    let fixture = Fixture::new()
        .flag("--never-bind")
        .with("--exit-after", 800)
        .with("--print-line", "no such gpu");
    let reply = ask(&fixture, &PACE, &chat(true)).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.starts_with(COMMENT), "{}", reply.body);
    let error = only_error(&reply.body);
    assert_eq!(error["code"], "exited");
    assert!(error["message"].as_str().unwrap().contains("no such gpu"));
}

#[tokio::test]
async fn when_it_is_off_a_late_failure_has_its_status() {
    let fixture = Fixture::new()
        .flag("--never-bind")
        .with("--exit-after", 800);
    let reply = ask(&fixture, &["--keep-alive", "off"], &chat(true)).await;
    assert_eq!(reply.failure(), (502, "exited".into()));
}

#[tokio::test]
async fn what_the_provider_refuses_late_is_an_event_with_its_words() {
    let fixture = Fixture::new()
        .with("--delay-bind", 800)
        .with("--api-key", "not-in-the-file");
    let mut one = chat_provider(&fixture);
    one["localService"]["healthStatus"] = json!([401]);
    let gateway = Gateway::start_with(&json!({ "one": one }), &PACE);
    let reply = gateway.ask("/v1/chat/completions", &chat(true)).await;
    assert_eq!(only_error(&reply.body)["message"], "Invalid API Key");
}

#[tokio::test]
async fn a_late_answer_that_is_no_stream_is_reported() {
    let fixture = Fixture::new();
    let gateway = Gateway::start_with(&json!({ "one": provider(&fixture) }), &PACE);
    let reply = gateway.ask("/v1/slow?ms=800", &chat(true)).await;
    let error = only_error(&reply.body);
    assert_eq!(error["code"], "refused");
    assert!(
        error["message"].as_str().unwrap().contains("200 OK"),
        "{error}"
    );
}

#[tokio::test]
async fn a_time_that_is_over_while_it_waits_is_an_event() {
    let fixture = Fixture::new().flag("--never-bind");
    let mut one = provider(&fixture);
    one["timeoutSeconds"] = json!(1);
    let gateway = Gateway::start_with(&json!({ "one": one }), &PACE);
    let reply = gateway.ask("/v1/chat/completions", &chat(true)).await;
    assert_eq!(only_error(&reply.body)["code"], "timeout");
}

/// Whether it waited or not.
#[tokio::test]
async fn a_stream_that_is_stopped_ends_with_an_event() {
    for delay in [0, 600] {
        let fixture = Fixture::new()
            .with("--delay-bind", delay)
            .with("--tokens", 1000)
            .with("--token-gap", 20);
        let gateway = Gateway::start_with(&json!({ "one": chat_provider(&fixture) }), &PACE);
        // Its head first: what fails before that has a status.
        let response = gateway.open("/v1/chat/completions", &chat(true)).await;
        gateway.until("one", |status| status["leases"] == 1).await;
        gateway.post("/admin/one/stop", "").await;
        let body = all(response.into_body()).await.expect("an end");
        let (_, last) = body.rsplit_once("data: ").expect("an event");
        let last: Value = serde_json::from_str(last).expect("a whole event");
        assert_eq!(last["error"]["code"], "stopped");
        assert!(!body.contains("[DONE]"));
    }
}
