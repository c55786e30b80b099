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
    let request = request("/v1/chat/completions", body);
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

fn request(path: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")
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

/// Old tools end a body with a line of its own; others send the next request already.
#[tokio::test]
async fn a_client_that_hangs_up_behind_more_than_its_request_is_seen_to_go() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    for more in [
        "",
        "\r\n",
        "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n",
    ] {
        let mut client = TcpStream::connect(gateway.address()).await.unwrap();
        let request = format!("{}{more}", request("/v1/hang", r#"{"model":"one/m"}"#));
        client.write_all(request.as_bytes()).await.unwrap();
        gateway.until("one", |status| status["leases"] == 1).await;
        drop(client);
        gateway.until("one", |status| status["leases"] == 0).await;
    }
}

/// `nc -N`, socat and old programs end their half when they have asked.
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn a_client_that_ends_its_half_is_answered_cold_and_warm() {
    use tokio::io::AsyncReadExt;

    let fixture = Fixture::new().with("--delay-bind", 700);
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    for path in [
        "/v1/slow?ms=10",
        "/v1/slow?ms=500",
        "/v1/stream?chunks=5&gap_ms=100",
    ] {
        let mut client = TcpStream::connect(gateway.address()).await.unwrap();
        let request = request(path, r#"{"model":"one/m"}"#);
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        let read = AsyncReadExt::read_to_string(&mut client, &mut answer);
        crate::support::within("an answer", read).await.unwrap();
        let whole = if path.contains("slow") {
            "slow"
        } else {
            "chunk 4"
        };
        assert!(answer.contains(whole), "{path}: {answer}");
    }
    // And is seen to go for good.
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    let request = request("/v1/hang", r#"{"model":"one/m"}"#);
    client.write_all(request.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    gateway.until("one", |status| status["leases"] == 1).await;
    drop(client);
    gateway.until("one", |status| status["leases"] == 0).await;
}

/// A gateway that listens on both families has addresses of IPv4 in another form.
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn a_client_that_ends_its_half_is_answered_over_either_family() {
    use tokio::io::AsyncReadExt;

    if std::net::TcpListener::bind("[::1]:0").is_err() {
        // A machine without IPv6.
        return;
    }
    let fixture = Fixture::new();
    let providers = json!({ "one": provider(&fixture) });
    let gateway = Gateway::start_with(&providers, &["--listen", "[::]:0", "--no-api-key"]);
    for host in ["127.0.0.1", "::1"] {
        let address = (host, gateway.address().port());
        let mut client = TcpStream::connect(address).await.unwrap();
        let slow = request("/v1/slow?ms=500", r#"{"model":"one/m"}"#);
        client.write_all(slow.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        let read = AsyncReadExt::read_to_string(&mut client, &mut answer);
        crate::support::within("an answer", read).await.unwrap();
        assert!(answer.contains("slow"), "{host}: {answer}");

        let mut client = TcpStream::connect(address).await.unwrap();
        let hang = request("/v1/hang", r#"{"model":"one/m"}"#);
        client.write_all(hang.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        gateway.until("one", |status| status["leases"] == 1).await;
        drop(client);
        gateway.until("one", |status| status["leases"] == 0).await;
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
