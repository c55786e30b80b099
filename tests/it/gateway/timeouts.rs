//! `timeoutSeconds`: to the head, a cold start included, and then each gap in the body.

use std::{io::Write as _, thread};

use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    Fixture,
    gateway::{Gateway, all, chat_provider, provider, server},
    ms,
};

#[tokio::test]
async fn a_provider_that_does_not_answer_in_time_is_reported() {
    let fixture = Fixture::new();
    let mut one = provider(&fixture);
    one["timeoutSeconds"] = json!(0.5);
    let gateway = Gateway::start(&json!({ "one": one }));
    let begun = Instant::now();
    let reply = gateway.ask("/v1/hang", &json!({ "model": "one/m" })).await;
    assert_eq!(reply.failure(), (504, "timeout".into()));
    assert!(begun.elapsed() >= ms(500));
    assert!(reply.body.contains("timeoutSeconds"), "{}", reply.body);
    gateway.until("one", |status| status["leases"] == 0).await;
}

/// They say that the connection works, and nothing of the model.
#[tokio::test]
async fn comments_and_pings_are_no_progress() {
    let pings = [": ping\n\n", "event: ping\ndata: {\"type\": \"ping\"}\n\n"];
    for ping in pings {
        let server = server(true, move |_, stream| {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes());
            while sent.is_ok() {
                sent = stream.write_all(ping.as_bytes());
                thread::sleep(ms(100));
            }
        });
        let one = json!({ "baseUrl": format!("http://{server}/v1"), "timeoutSeconds": 1 });
        let gateway = Gateway::start(&json!({ "one": one }));
        let ask = json!({ "model": "one/m", "stream": true });
        let reply = gateway.ask("/v1/chat/completions", &ask).await;
        assert!(reply.body.starts_with(ping), "{}", reply.body);
        assert!(reply.body.contains(r#""code":"timeout""#), "{}", reply.body);
    }
}

/// A slow model is none that says nothing.
#[tokio::test]
async fn a_stream_may_take_longer_in_all() {
    let fixture = Fixture::new().with("--tokens", 10).with("--token-gap", 300);
    let mut one = chat_provider(&fixture);
    one["timeoutSeconds"] = json!(2);
    let gateway = Gateway::start(&json!({ "one": one }));
    gateway.post("/admin/one/start", "").await;
    let ask = json!({ "model": "one/m", "stream": true });
    let reply = gateway.ask("/v1/chat/completions", &ask).await;
    assert!(reply.body.ends_with("data: [DONE]\n\n"), "{}", reply.body);
}

#[tokio::test]
async fn a_cold_start_counts_and_continues_when_the_time_is_over() {
    let fixture = Fixture::new().with("--delay-bind", 2500);
    let mut one = provider(&fixture);
    one["timeoutSeconds"] = json!(1);
    let gateway = Gateway::start(&json!({ "one": one }));
    let ask = json!({ "model": "one/m" });
    let reply = gateway.ask("/v1/hello", &ask).await;
    assert_eq!(reply.failure(), (504, "timeout".into()));
    gateway
        .until("one", |status| status["phase"] == "ready")
        .await;
    assert_eq!(gateway.ask("/v1/hello", &ask).await.body, "hello");
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_gap_in_the_body_that_is_too_long_breaks_it_off() {
    let fixture = Fixture::new();
    let mut one = provider(&fixture);
    one["timeoutSeconds"] = json!(1);
    let gateway = Gateway::start(&json!({ "one": one }));
    let ask = json!({ "model": "one/m" });
    // So that the time is that of the body alone.
    gateway.post("/admin/one/start", "").await;
    let response = gateway.open("/v1/stall?chunks=2", &ask).await;
    assert_eq!(response.status(), 200);
    all(response.into_body())
        .await
        .expect_err("it is not whole");
    gateway.until("one", |status| status["leases"] == 0).await;
    // Longer than that in all, and each gap shorter.
    let response = gateway.open("/v1/stream?chunks=8&gap_ms=200", &ask).await;
    assert!(
        all(response.into_body())
            .await
            .unwrap()
            .ends_with("chunk 7\n")
    );
}
