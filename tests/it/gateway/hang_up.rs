//! Clients that go before they have their answer.

use std::time::Duration;

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::Instant};

use crate::support::{
    Fixture, eventually,
    gateway::{Gateway, chat_provider, provider},
};

/// A request whose sender may go at any time.
async fn send(gateway: &Gateway, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_hangs_up_while_the_server_starts_does_not_stop_the_start() {
    for body in [r#"{"model":"one/m"}"#, r#"{"model":"one/m","stream":true}"#] {
        let fixture = Fixture::new().with("--delay-bind", 2000);
        let providers = json!({ "one": chat_provider(&fixture) });
        let gateway = Gateway::start_with(&providers, &["--keep-alive", "0.1"]);
        let client = send(&gateway, body).await;
        gateway.until("one", |status| status["waiters"] == 1).await;
        eventually("it is started", || fixture.starts().len() == 1).await;
        drop(client);
        gateway.until("one", |status| status["waiters"] == 0).await;
        let status = gateway.until("one", |status| status["phase"] == "ready");
        let status = status.await;
        assert_eq!(
            (&status["starts"], &status["leases"]),
            (&json!(1), &json!(0))
        );
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_in_a_stream_gives_its_lease_back_within_100_ms() {
    let fixture = Fixture::new()
        .with("--tokens", 100_000)
        .with("--token-gap", 10);
    let gateway = Gateway::start(&json!({ "one": chat_provider(&fixture) }));
    let mut took = Vec::new();
    // Other tests may have the processor in between.
    while !took.iter().any(|it| *it < Duration::from_millis(100)) {
        assert!(took.len() < 20, "{took:?}");
        let client = send(&gateway, r#"{"model":"one/m","stream":true}"#).await;
        gateway.until("one", |status| status["leases"] == 1).await;
        let begun = Instant::now();
        drop(client);
        gateway.until("one", |status| status["leases"] == 0).await;
        took.push(begun.elapsed());
    }
}

/// No token comes that could fail to be sent.
#[tokio::test]
async fn a_client_that_hangs_up_in_silence_gives_its_lease_back_too() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let ask = json!({ "model": "one/m" });
    for path in ["/v1/stall?chunks=1", "/v1/stall?chunks=0"] {
        let response = gateway.open(path, &ask).await;
        gateway.until("one", |status| status["leases"] == 1).await;
        drop(response);
        gateway.until("one", |status| status["leases"] == 0).await;
    }
}
