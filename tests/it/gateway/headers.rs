//! Which headers are forwarded, and which are not.

use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::support::{
    Fixture, eventually,
    gateway::{Gateway, provider},
};

/// Its lines, as the provider got them.
async fn arrived(gateway: &Gateway, headers: &[(&str, &str)]) -> Vec<String> {
    let mut request = Request::post(gateway.url("/v1/headers"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "model": "one/m" }).to_string();
    let reply = gateway
        .reply_to(request.body(Full::from(body)).unwrap())
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body.lines().map(str::to_lowercase).collect()
}

fn has(lines: &[String], line: &str) -> bool {
    lines.iter().any(|it| it == line)
}

fn has_name(lines: &[String], name: &str) -> bool {
    lines.iter().any(|it| it.starts_with(&format!("{name}:")))
}

#[tokio::test]
async fn the_key_of_the_file_is_sent_and_never_the_clients() {
    let fixture = Fixture::new().with("--api-key", "the-key-of-the-file");
    let mut one = provider(&fixture);
    one["apiKey"] = json!("the-key-of-the-file");
    one["headers"] = json!({ "x-team": "blue" });
    let gateway = Gateway::start(&json!({ "one": one }));
    let lines = arrived(
        &gateway,
        &[
            ("authorization", "Bearer of-the-client"),
            ("x-api-key", "of-the-client"),
            ("cookie", "of-the-client"),
            ("x-team", "red"),
        ],
    )
    .await;
    assert!(
        has(&lines, "authorization: bearer the-key-of-the-file"),
        "{lines:?}"
    );
    assert!(has(&lines, "x-team: blue"), "{lines:?}");
    assert!(!lines.concat().contains("of-the-client"), "{lines:?}");
    assert!(!lines.concat().contains("red"), "{lines:?}");
    assert!(!gateway.log().contains("the-key-of-the-file"));
}

#[tokio::test]
async fn without_a_key_in_the_file_none_is_sent() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let lines = arrived(&gateway, &[("authorization", "Bearer of-the-client")]).await;
    assert!(!has_name(&lines, "authorization"), "{lines:?}");
}

#[tokio::test]
async fn what_is_about_the_connection_stays_there_and_the_rest_is_forwarded() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let lines = arrived(
        &gateway,
        &[
            ("connection", "x-hop, keep-alive"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("openai-beta", "assistants=v2"),
            ("content-type", "application/json"),
        ],
    )
    .await;
    for name in ["connection", "x-hop", "keep-alive", "te"] {
        assert!(!has_name(&lines, name), "{name} in {lines:?}");
    }
    assert!(has(&lines, "openai-beta: assistants=v2"), "{lines:?}");
    assert!(has(&lines, "content-type: application/json"), "{lines:?}");
    let host = format!("host: 127.0.0.1:{}", fixture.port());
    assert!(has(&lines, &host), "the provider's own: {lines:?}");
}

/// The head that says how it is packed may come too late; see `--keep-alive`.
#[tokio::test]
async fn a_stream_is_asked_for_unpacked() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    for (stream, is_asked) in [(true, false), (false, true)] {
        let body = json!({ "model": "one/m", "stream": stream }).to_string();
        let request = Request::post(gateway.url("/v1/headers")).header("accept-encoding", "gzip");
        let reply = gateway.reply_to(request.body(Full::from(body)).unwrap());
        let lines = reply.await.body.to_lowercase();
        assert_eq!(lines.contains("accept-encoding: gzip"), is_asked, "{lines}");
    }
}

/// curl calls what it sends a form, for which servers have lower limits.
#[tokio::test]
async fn what_was_read_as_json_is_called_so() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    for (said, called) in [
        ("application/x-www-form-urlencoded", "application/json"),
        ("text/plain;charset=UTF-8", "application/json"),
        (
            "application/json; charset=utf-8",
            "application/json; charset=utf-8",
        ),
    ] {
        let lines = arrived(&gateway, &[("content-type", said)]).await;
        assert!(has(&lines, &format!("content-type: {called}")), "{lines:?}");
    }
    let lines = arrived(&gateway, &[]).await;
    assert!(has(&lines, "content-type: application/json"), "{lines:?}");
}

#[tokio::test]
async fn each_request_has_an_id_that_the_answer_and_the_provider_get() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let made = gateway.get("/v1/models").await;
    assert!(made.header("x-request-id").is_some_and(|id| id.len() > 20));
    let lines = arrived(&gateway, &[("x-request-id", "mine")]).await;
    assert!(has(&lines, "x-request-id: mine"), "{lines:?}");
    eventually("the log has it", || gateway.log().contains(r#"id="mine""#)).await;
}
