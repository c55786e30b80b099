//! What went wrong with a provider, and its status.

use serde_json::json;

use crate::support::{
    Fixture, free_port,
    gateway::{Gateway, provider},
};

#[tokio::test]
async fn a_start_that_fails_is_reported_with_code_output_and_when_to_try_again() {
    let fixture = Fixture::new()
        .flag("--exit-at-start")
        .with("--exit-code", 3)
        .with("--print-line", "no such gpu");
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let ask = json!({ "model": "one/m", "stream": true });
    let reply = gateway.ask("/v1/chat/completions", &ask).await;
    assert_eq!(reply.failure(), (502, "exited".into()));
    for part in ["`one`", "code 3", "no such gpu"] {
        assert!(reply.body.contains(part), "{part} in {}", reply.body);
    }
    assert_eq!(reply.json()["error"]["type"], "server_error");
    // As Anthropic's clients expect it.
    assert_eq!(reply.json()["type"], "error");
    // The second start comes at once, the third after a pause.
    gateway.ask("/v1/chat/completions", &ask).await;
    let reply = gateway.ask("/v1/chat/completions", &ask).await;
    assert_eq!(reply.failure(), (503, "crash_loop".into()));
    assert_eq!(reply.header("retry-after"), Some("1"));
    // What a client can do, and not what a Rust program could.
    assert!(!reply.body.contains("start()"), "{}", reply.body);
    assert!(
        reply.body.contains("POST /admin/one/start"),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn what_the_provider_refuses_comes_through_as_it_is() {
    let fixture = Fixture::new().with("--api-key", "not-in-the-file");
    let mut one = provider(&fixture);
    // So that it is ready all the same.
    one["localService"]["healthStatus"] = json!([401]);
    let gateway = Gateway::start(&json!({ "one": one }));
    let reply = gateway.ask("/v1/echo", &json!({ "model": "one/m" })).await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.json()["error"]["message"], "Invalid API Key");
}

#[tokio::test]
async fn a_server_that_dies_before_it_answers_is_reported_and_the_next_request_is_served() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let ask = json!({ "model": "one/m" });
    let reply = gateway.ask("/v1/die", &ask).await;
    assert_eq!(reply.failure(), (502, "exited".into()), "{reply:?}");
    assert_eq!(gateway.ask("/v1/hello", &ask).await.body, "hello");
    assert_eq!(fixture.starts().len(), 2);
}

#[tokio::test]
async fn a_provider_that_is_not_started_here_is_used_or_reported_as_away() {
    let fixture = Fixture::new();
    let _outside = fixture.run_outside();
    let nobody = format!("http://127.0.0.1:{}/v1", free_port());
    let gateway = Gateway::start(&json!({
        "there": { "baseUrl": fixture.url("") },
        "away": { "baseUrl": nobody },
    }));
    let there = gateway
        .ask("/v1/hello", &json!({ "model": "there/m" }))
        .await;
    assert_eq!(there.body, "hello");
    let away = gateway
        .ask("/v1/hello", &json!({ "model": "away/m" }))
        .await;
    assert_eq!(away.failure(), (502, "no_answer".into()));
    assert!(away.body.contains("`away`"), "{}", away.body);
    assert!(away.body.contains("refused"), "{}", away.body);
}
