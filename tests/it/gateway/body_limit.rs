//! The longest body that is read.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    Fixture,
    gateway::{Gateway, provider},
    within,
};

/// A body of that length.
fn body(length: usize) -> String {
    let empty = r#"{"messages":"","model":"one/m"}"#.len();
    format!(
        r#"{{"messages":"{}","model":"one/m"}}"#,
        "x".repeat(length - empty)
    )
}

/// What is answered to that much of a request, of which no more comes.
async fn answer_to(gateway: &Gateway, rest: &str) -> String {
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let request = format!("POST /v1/echo HTTP/1.1\r\nhost: localhost\r\n{rest}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 1024];
    let length = within("an answer", stream.read(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_read_and_a_longer_one_refused() {
    let fixture = Fixture::new();
    let providers = json!({ "one": provider(&fixture) });
    let gateway = Gateway::start_with(&providers, &["--body-limit", "5000"]);
    let whole = gateway.post("/v1/echo", body(5000)).await;
    assert_eq!((whole.status.as_u16(), whole.body.len()), (200, 5000 - 4));
    let longer = format!("content-length: 5001\r\n\r\n{}", body(5001));
    let answer = answer_to(&gateway, &longer).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    for part in ["request_too_large", "5000 bytes"] {
        assert!(answer.contains(part), "{part:?} is not in {answer}");
    }
}

#[tokio::test]
async fn the_limit_is_32_mib() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let whole = gateway.post("/v1/pid", body(32 << 20)).await;
    assert_eq!(whole.status, 200);
    // A client that says how much is to come gets the refusal before it sends that.
    let length = (32 << 20) + 1;
    let head = format!("content-length: {length}\r\n\r\n");
    let answer = answer_to(&gateway, &head).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

/// A body whose length is not said is cut off when it is too long.
#[tokio::test]
async fn a_body_without_a_length_is_refused_at_the_limit() {
    let fixture = Fixture::new();
    let providers = json!({ "one": provider(&fixture) });
    let gateway = Gateway::start_with(&providers, &["--body-limit", "5000"]);
    // The last chunk never comes.
    let chunks = format!(
        "transfer-encoding: chunked\r\n\r\n1389\r\n{}\r\n",
        body(5001)
    );
    let answer = answer_to(&gateway, &chunks).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("request_too_large"), "{answer}");
    assert!(fixture.starts().is_empty());
}

#[tokio::test]
async fn a_refusal_of_a_long_body_by_its_provider_comes_through() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let reply = gateway
        .ask("/v1/status/413", &json!({ "model": "one/m" }))
        .await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (413, ""));
}
