//! Requests that come compressed, as some SDKs send them.

use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::support::{
    Fixture,
    gateway::{Gateway, Reply, provider},
};

/// `{"model":"one/m"}`.
const GZIP: &str = "1f8b0800000000000203ab56cacd4f49cd51b252cacf4bd5cf55aa0500fe2c2cac11000000";
const DEFLATE: &str = "789cab56cacd4f49cd51b252cacf4bd5cf55aa0500340d05aa";

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A frame of one block: of that kind, length and content.
fn zstd(kind: u32, length: usize, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).unwrap();
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend(length.to_le_bytes());
    frame.extend(&(length << 3 | kind << 1 | 1).to_le_bytes()[..3]);
    frame.extend(content);
    frame
}

async fn send(gateway: &Gateway, encoding: &str, body: Vec<u8>) -> Reply {
    let request = Request::post(gateway.url("/v1/echo")).header("content-encoding", encoding);
    gateway
        .reply_to(request.body(Full::from(body)).unwrap())
        .await
}

#[tokio::test]
async fn a_compressed_request_is_read_and_passed_on_without_its_compression() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let plain = br#"{"model":"one/m"}"#;
    for (encoding, body) in [
        ("gzip", bytes(GZIP)),
        ("GZIP", bytes(GZIP)),
        ("x-gzip", bytes(GZIP)),
        ("deflate", bytes(DEFLATE)),
        ("zstd", zstd(0, plain.len(), plain)),
        ("identity", plain.to_vec()),
    ] {
        let reply = send(&gateway, encoding, body).await;
        assert_eq!(reply.body, r#"{"model":"m"}"#, "{encoding}: {reply:?}");
    }
}

#[tokio::test]
async fn another_compression_is_refused_by_name() {
    let gateway = Gateway::start(&json!({}));
    for encoding in ["br", "gzip, zstd", "rot13"] {
        let reply = send(&gateway, encoding, b"whatever".to_vec()).await;
        assert_eq!(reply.failure(), (415, "unsupported_encoding".into()));
        assert!(reply.body.contains("Content-Encoding"), "{}", reply.body);
    }
    let broken = send(&gateway, "gzip", b"not compressed".to_vec()).await;
    assert_eq!(broken.failure(), (400, "body_not_read".into()));
}

/// A few bytes can stand for many.
#[tokio::test]
async fn the_limit_is_that_of_the_body_without_its_compression() {
    let gateway = Gateway::start_with(&json!({}), &["--body-limit", "5000"]);
    let reply = send(&gateway, "zstd", zstd(1, 100_000, b" ")).await;
    assert_eq!(reply.failure(), (413, "request_too_large".into()));
}
