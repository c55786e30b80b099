//! Paths that name the provider, and WebSockets.

use std::time::Duration;

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use crate::support::{
    Fixture,
    gateway::{Gateway, Reply, chat_provider, provider},
    within,
};

async fn send(gateway: &Gateway, method: &str, path: &str, body: &str) -> Reply {
    let request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(gateway.url(path))
        .header("authorization", "Bearer the-clients-own")
        .body(Full::from(body.to_owned()));
    gateway.reply_to(request.unwrap()).await
}

#[tokio::test]
async fn a_path_with_a_provider_goes_there_with_its_method_and_body() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let mut with_slash = chat_provider(&two);
    with_slash["apiKey"] = json!("the-providers-own");
    let gateway = Gateway::start(&json!({ "one": provider(&one), "a/b": with_slash }));
    for (method, path, body, answers) in [
        ("GET", "/v1/one/hello", "", "hello"),
        ("GET", "/v1/one/bytes?n=3", "", "..."),
        ("PUT", "/v1/one/echo", "put there", "put there"),
        ("PATCH", "/v1/one/echo", "patched", "patched"),
        ("POST", "/v1/one/echo", "no JSON", "no JSON"),
        ("DELETE", "/v1/one/hello", "", "hello"),
        ("GET", "/upstream/a%2Fb/hello", "", "hello"),
        ("POST", "/upstream/a%2Fb/echo?x=%2F", "as it is", "as it is"),
    ] {
        let reply = send(&gateway, method, path, body).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.body),
            (200, answers),
            "{method} {path}"
        );
    }
    // The API of this one is below /v1, its server has more.
    let models = send(&gateway, "GET", "/v1/a%2Fb/models", "").await;
    assert_eq!(models.json()["data"][0]["id"], "fixture");
    let headers = send(&gateway, "PUT", "/upstream/a%2Fb/headers", "12345")
        .await
        .body;
    let headers = headers.to_lowercase();
    for part in ["bearer the-providers-own", "content-length: 5"] {
        assert!(headers.contains(part), "{part} is not in {headers}");
    }
    assert!(!headers.contains("the-clients-own"), "{headers}");
    let headers = send(&gateway, "GET", "/v1/one/headers", "").await.body;
    let headers = headers.to_lowercase();
    for body in ["transfer-encoding", "content-length"] {
        assert!(!headers.contains(body), "{headers}");
    }
    let requests = one.requests();
    assert!(
        requests.contains(&"DELETE /hello".to_owned()),
        "{requests:?}"
    );
    assert!(
        gateway.log().contains("provider=\"one\" "),
        "{}",
        gateway.log()
    );
}

#[tokio::test]
async fn a_path_without_a_provider_is_refused_and_one_without_a_slash_redirected() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let redirect = send(&gateway, "GET", "/upstream/one", "").await;
    assert_eq!(redirect.status, 308);
    assert_eq!(redirect.header("location"), Some("/upstream/one/"));
    let unknown = send(&gateway, "GET", "/upstream/none/", "").await;
    assert_eq!(unknown.failure(), (404, "no_such_provider".into()));
    assert!(unknown.body.contains("one"), "{unknown:?}");
    for method in ["GET", "PUT", "DELETE"] {
        let unknown = send(&gateway, method, "/v1/none/hello", "").await;
        assert_eq!(unknown.failure(), (404, "no_such_path".into()));
    }
    // What browsers do for a picture on a page of another site.
    let request =
        Request::get(gateway.url("/upstream/one/hello")).header("sec-fetch-site", "cross-site");
    let refused = gateway
        .reply_to(request.body(Full::default()).unwrap())
        .await;
    assert_eq!(refused.failure(), (403, "forbidden".into()));
    assert!(fixture.starts().is_empty());
}

async fn echoes(socket: &mut TcpStream, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut echo = vec![0; text.len()];
    let read = within("an echo", socket.read_exact(&mut echo)).await;
    read.expect("the server lives");
    assert_eq!(echo, text.as_bytes());
}

/// The fixture echoes what comes, as WebSockets or not.
#[tokio::test]
async fn a_connection_that_is_upgraded_keeps_its_server_as_long_as_it_lasts() {
    let fixture = Fixture::new();
    let mut one = provider(&fixture);
    one["localService"]["idleStopMs"] = json!(200);
    let gateway = Gateway::start(&json!({ "one": one }));
    let mut socket = TcpStream::connect(gateway.address()).await.unwrap();
    let request = "GET /upstream/one/upgrade HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
                   upgrade: echo\r\nsec-websocket-key: x\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let byte = within("a head", socket.read_u8()).await.unwrap();
        head.push(byte.into());
    }
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("connection: upgrade") && head.contains("upgrade: echo"),
        "{head}"
    );
    echoes(&mut socket, "to and fro").await;
    sleep(Duration::from_millis(600)).await;
    echoes(&mut socket, "much later than the idle time").await;
    let status = gateway.status("one").await;
    assert_eq!(
        (&status["leases"], &status["starts"]),
        (&json!(1), &json!(1))
    );
    drop(socket);
    gateway.until("one", |it| it["phase"] == "stopped").await;
}

#[tokio::test]
async fn a_server_that_does_not_agree_answers_as_ever() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let request = Request::get(gateway.url("/upstream/one/hello"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    let reply = gateway
        .reply_to(request.body(Full::default()).unwrap())
        .await;
    assert_eq!((reply.status.as_u16(), &*reply.body), (200, "hello"));
}
