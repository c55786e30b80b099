//! Streaming requests that have to wait: comments, then the answer or an event that says why not.

use std::{thread, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{
    Fixture,
    gateway::{Gateway, Reply, all, answer, chat_provider, provider, server},
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
    // The name is for the SDKs of Anthropic.
    let data = event.strip_prefix("event: error\ndata: ");
    let json: Value = serde_json::from_str(data.expect("an event")).expect("one event");
    assert_eq!(json["type"], "error");
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
async fn what_a_chat_waits_for_is_in_its_reasoning_where_that_is_asked_for() {
    let fixture = Fixture::new().with("--delay-bind", 1500);
    let args = [&PACE[..], &["--progress"]].concat();
    let reply = ask(&fixture, &args, &chat(true)).await;
    let events = reply
        .body
        .lines()
        .filter_map(|it| it.strip_prefix("data: {"));
    let chunks: Vec<Value> = events
        .map(|it| serde_json::from_str(&format!("{{{it}")).unwrap())
        .collect();
    let first = &chunks[0];
    assert_eq!(first["object"], "chat.completion.chunk");
    assert_eq!(first["model"], "one/m");
    let text = first["choices"][0]["delta"]["reasoning_content"].as_str();
    assert!(
        text.unwrap().starts_with("one has been loading for"),
        "{first}"
    );
    // The answer is as ever.
    assert!(!reply.body.contains(COMMENT) && reply.body.ends_with("data: [DONE]\n\n"));
    let content = chunks
        .iter()
        .filter_map(|it| it["choices"][0]["delta"]["content"].as_str());
    assert!(content.count() > 0, "{}", reply.body);

    // Other APIs have no place for it.
    let slow = server(true, |_, stream| {
        thread::sleep(Duration::from_millis(700));
        let body = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        answer(stream, "200 OK", "text/event-stream", body);
    });
    let far = json!({ "baseUrl": format!("http://{slow}"), "api": "anthropic-messages" });
    let gateway = Gateway::start_with(&json!({ "one": far }), &args);
    let reply = gateway.ask("/v1/messages", &chat(true)).await;
    assert!(reply.body.starts_with(COMMENT), "{}", reply.body);
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

/// What a server answers that is slower than the first comment.
async fn late(kind: &'static str, body: Value) -> String {
    let body = body.to_string();
    let server = server(true, move |_, stream| {
        thread::sleep(Duration::from_millis(600));
        answer(stream, "200 OK", kind, &body);
    });
    let one = json!({ "baseUrl": format!("http://{server}/v1") });
    let gateway = Gateway::start_with(&json!({ "one": one }), &PACE);
    let reply = gateway.ask("/v1/chat/completions", &chat(true)).await;
    assert!(reply.body.starts_with(COMMENT), "{}", reply.body);
    reply.body.trim_start_matches(COMMENT).to_owned()
}

/// The kinds and the contents of events.
fn events(body: &str) -> Vec<(Option<String>, Value)> {
    let events = body.split_terminator("\n\n");
    let events = events.filter(|event| *event != "data: [DONE]");
    events
        .map(|event| {
            let (name, data) = event.split_once("data: ").expect("its data");
            let name = name.strip_prefix("event: ").map(|it| it.trim().to_owned());
            (name, serde_json::from_str(data).expect("JSON"))
        })
        .collect()
}

#[tokio::test]
async fn a_late_chat_that_is_no_stream_comes_as_one() {
    let call =
        json!({ "id": "c", "type": "function", "function": { "name": "f", "arguments": "{}" } });
    let message = json!({ "role": "assistant", "content": "hello", "tool_calls": [call] });
    let choices = json!([{ "index": 0, "message": message, "finish_reason": "stop" }]);
    let whole = json!({ "id": "x", "object": "chat.completion", "choices": choices });
    let body = late("application/json", whole).await;
    assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
    let events = events(&body);
    let [(None, chunk)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(chunk["object"], "chat.completion.chunk");
    let delta = &chunk["choices"][0]["delta"];
    assert_eq!(delta["content"], "hello");
    assert_eq!(delta["tool_calls"][0]["index"], 0);
    assert!(chunk["error"].is_null());
}

#[tokio::test]
async fn a_late_answer_of_another_kind_comes_whole() {
    let list = json!({ "object": "list", "data": [{ "embedding": [0.5] }], "error": null });
    let body = late("application/json", list.clone()).await;
    assert_eq!(events(&body), [(None, list)]);
    let response = json!({ "object": "response", "status": "completed" });
    let body = late("application/json", response.clone()).await;
    let events = events(&body);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].0.as_deref(), Some("response.completed"));
    assert_eq!(events[0].1["response"], response);
}

#[tokio::test]
async fn a_late_message_of_anthropic_comes_as_its_events() {
    let tool = json!({ "type": "tool_use", "id": "t", "name": "f", "input": { "a": 1 } });
    let content = json!([{ "type": "text", "text": "hello" }, tool]);
    let body = late(
        "application/json",
        json!({
            "type": "message", "role": "assistant", "content": content,
            "stop_reason": "end_turn", "stop_sequence": null, "usage": { "output_tokens": 2 },
        }),
    );
    let events = events(&body.await);
    let kinds: Vec<_> = events
        .iter()
        .filter_map(|(name, _)| name.as_deref())
        .collect();
    let part = [
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
    ];
    let expected = [
        &["message_start"][..],
        &part,
        &part,
        &["message_delta", "message_stop"],
    ];
    assert_eq!(kinds, expected.concat());
    for (name, data) in &events {
        assert_eq!(data["type"].as_str(), name.as_deref());
    }
    assert_eq!(events[0].1["message"]["content"], json!([]));
    assert_eq!(events[2].1["delta"]["text"], "hello");
    assert_eq!(events[5].1["delta"]["partial_json"], r#"{"a":1}"#);
    assert_eq!(events[7].1["delta"]["stop_reason"], "end_turn");
}

/// Some servers say no more than a sentence.
#[tokio::test]
async fn a_late_error_in_one_word_is_an_error_for_all_clients() {
    let body = late(
        "application/json",
        json!({ "error": "the context is too long" }),
    )
    .await;
    let error = only_error(&body);
    assert!(
        error["message"].as_str().unwrap().contains("too long"),
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
        assert!(body.contains("event: error\ndata: {"), "{body}");
        assert_eq!(last["type"], "error");
        assert!(!body.contains("[DONE]"));
    }
}
