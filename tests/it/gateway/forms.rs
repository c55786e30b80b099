//! Forms with files: the model is one of their parts.

use std::io::Read as _;

use http::Request;
use http_body_util::Full;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    Fixture,
    gateway::{ConfigFile, Gateway, Reply, answer, provider, server},
    within,
};

const BOUNDARY: &str = "----x-boundary";

fn part(name: &str, content: &str) -> String {
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
}

/// With what looks like a boundary, and is none.
fn file() -> String {
    let content = format!("bytes --{BOUNDARY} \r\n-{BOUNDARY} \r\n\r\n bytes");
    part("file\"; filename=\"a;b.wav", &content)
        .replace("\r\n\r\nbytes", "\r\nContent-Type: audio/wav\r\n\r\nbytes")
}

fn form(parts: &[String]) -> String {
    format!("{}--{BOUNDARY}--\r\n", parts.concat())
}

async fn send(gateway: &Gateway, path: &str, body: &str) -> Reply {
    let request = Request::post(gateway.url(path))
        .header(
            "content-type",
            format!("multipart/form-data; boundary={BOUNDARY}"),
        )
        .body(Full::from(body.to_owned()));
    gateway.reply_to(request.unwrap()).await
}

#[tokio::test]
async fn a_form_arrives_byte_for_byte_but_for_the_name_of_the_model() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let gateway = Gateway::start(&json!({ "one": provider(&one), "two": provider(&two) }));
    for parts in [
        [part("model", "two/whisper"), file(), part("language", "en")],
        [file(), part("language", "en"), part("model", "two/whisper")],
        [
            part("prompt", ""),
            part("model", "two/whisper"),
            part("prompt", "model"),
        ],
    ] {
        let sent = form(&parts);
        let echo = send(&gateway, "/v1/echo", &sent).await;
        assert_eq!(echo.body, sent.replace("two/whisper", "whisper"));
    }
    assert!(one.starts().is_empty());
    // Not all servers read a body without a length.
    let sent = form(&[part("model", "two/whisper"), file()]);
    let headers = send(&gateway, "/v1/headers", &sent)
        .await
        .body
        .to_lowercase();
    let length = format!("content-length: {}\r\n", sent.len() - "two/".len());
    assert!(headers.contains(&length), "{headers}");
    assert!(headers.contains("multipart/form-data"), "{headers}");
    assert!(!headers.contains("transfer-encoding"), "{headers}");
}

#[tokio::test]
async fn a_form_without_a_model_is_for_the_primary_one() {
    let fixture = Fixture::new();
    let file_of = |primary: Option<&str>| {
        let providers = json!({ "one": provider(&fixture) });
        let file = json!({
            "models": { "providers": providers }, "agents": { "defaults": { "model": primary } },
        });
        ConfigFile::new(file.to_string())
    };
    let gateway = Gateway::run(file_of(Some("one/whisper")), &[]);
    let sent = form(&[file()]);
    let echo = send(&gateway, "/v1/echo", &sent).await;
    assert_eq!(echo.body, form(&[part("model", "whisper"), file()]));
    drop(gateway);
    let gateway = Gateway::run(file_of(None), &[]);
    let refused = send(&gateway, "/v1/echo", &sent).await;
    assert_eq!(refused.failure(), (400, "invalid_request".into()));
}

#[tokio::test]
async fn what_is_no_form_is_refused_and_starts_nothing() {
    let fixture = Fixture::new();
    let gateway = Gateway::start_with(
        &json!({ "one": provider(&fixture) }),
        &["--body-limit", "100000"],
    );
    let long = "x".repeat(50_000);
    for (body, status) in [
        (String::new(), 400),
        (part("model", "one/m").replace(BOUNDARY, "another"), 400),
        (part("file", "cut off").replace("cut off\r\n", "cut"), 400),
        (form(&[part("model", &long)]), 400),
        (format!("--{BOUNDARY}\r\n{long}"), 400),
        (form(&[part("model", "none/m")]), 404),
        (
            form(&[part("file", &long.repeat(3)), part("model", "one/m")]),
            413,
        ),
    ] {
        let reply = send(&gateway, "/v1/audio/transcriptions", &body).await;
        assert_eq!(reply.failure().0, status, "{body:.80} {reply:?}");
    }
    assert!(fixture.starts().is_empty());
}

#[tokio::test]
async fn a_form_of_unknown_length_is_refused_at_the_limit() {
    let fixture = Fixture::new();
    let gateway = Gateway::start_with(
        &json!({ "one": provider(&fixture) }),
        &["--body-limit", "1000"],
    );
    let sent = form(&[part("file", &"x".repeat(2000)), part("model", "one/m")]);
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let request = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\
         content-type: multipart/form-data; boundary=\"{BOUNDARY}\"\r\n\r\n{:x}\r\n{sent}\r\n0\r\n\r\n",
        sent.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    within("an answer", stream.read_exact(&mut status))
        .await
        .unwrap();
    assert_eq!(status, *b"HTTP/1.1 413");
    assert!(fixture.starts().is_empty());
}

/// The provider reads what follows the model while the client sends it.
#[tokio::test]
async fn what_follows_the_model_is_not_kept() {
    let address = server(false, |head, stream| {
        let mut read = head;
        let mut next = [0; 4096];
        while !read.contains("the first bytes") {
            let length = stream.read(&mut next).unwrap();
            assert!(length > 0, "{read}");
            read += &String::from_utf8_lossy(&next[..length]);
        }
        answer(stream, "200 OK", "text/plain", "it has come");
    });
    let far = json!({ "baseUrl": format!("http://{address}/v1") });
    let gateway = Gateway::start(&json!({ "far": far }));
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    let begin = [
        part("model", "far/m"),
        part("file", "the first bytes").replace("\r\n--", "--"),
    ];
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\
         content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n{}",
        begin.concat()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answered = String::new();
    let mut next = [0; 4096];
    while !answered.contains("it has come") {
        let read = within("an answer", stream.read(&mut next)).await.unwrap();
        assert!(read > 0, "{answered}");
        answered += &String::from_utf8_lossy(&next[..read]);
    }
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
}
