//! Long requests that are refused while they are still sent.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use serde_json::json;

use crate::support::{
    gateway::{Gateway, answer, server},
    ms,
};

#[tokio::test]
async fn a_provider_that_refuses_a_long_prompt_early_is_heard() {
    let server = server(false, |_, stream| {
        answer(
            stream,
            "413 Payload Too Large",
            "application/json",
            r#"{"error":{"message":"the prompt is too long"}}"#,
        );
    });
    let one = json!({ "baseUrl": format!("http://{server}/v1") });
    let gateway = Gateway::start(&json!({ "one": one }));
    let prompt = "x".repeat(8 << 20);
    for _ in 0..12 {
        let reply = gateway
            .ask(
                "/v1/chat/completions",
                &json!({ "model": "one/m", "prompt": prompt }),
            )
            .await;
        assert_eq!(reply.status, 413, "{reply:?}");
        assert!(reply.body.contains("the prompt is too long"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_refusal_whose_words_are_lost_still_has_its_status() {
    let server = server(false, |_, stream| {
        let half = "HTTP/1.1 413 Payload Too Large\r\ncontent-length: 100\r\n\r\nthe prompt";
        stream.write_all(half.as_bytes()).unwrap();
    });
    let one = json!({ "baseUrl": format!("http://{server}/v1") });
    let gateway = Gateway::start(&json!({ "one": one }));
    let reply = gateway.ask("/v1/echo", &json!({ "model": "one/m" })).await;
    assert_eq!(reply.failure(), (413, "refused".into()));
}

/// Many clients read the answer only when all is sent.
#[test]
fn a_client_that_sends_on_gets_the_refusal_of_the_gateway() {
    let gateway = Gateway::start_with(&json!({}), &["--body-limit", "5000"]);
    for _ in 0..5 {
        let mut client = TcpStream::connect(gateway.address()).unwrap();
        let head = "POST /v1/echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 8000000\r\n\r\n";
        client.write_all(head.as_bytes()).unwrap();
        for _ in 0..80 {
            client.write_all(&vec![b' '; 100_000]).unwrap();
            thread::sleep(ms(1));
        }
        let mut answer = [0; 1024];
        let length = client.read(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}
