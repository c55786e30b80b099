//! Paths that name the provider, and WebSockets.

use std::{io::Write as _, net::SocketAddr, time::Duration};

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
    gateway::{Gateway, Reply, answer, chat_provider, provider, server},
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

/// What a server says, and where it leads a client of the gateway.
const REDIRECTS: [(&str, &str); 9] = [
    ("/x?a=/b", "/upstream/a%2Fb/x?a=/b"),
    ("http://127.0.0.1:PORT/x", "/upstream/a%2Fb/x"),
    ("http://localhost:PORT/x#y", "/upstream/a%2Fb/x#y"),
    ("//127.0.0.1:PORT/x", "/upstream/a%2Fb/x"),
    ("HTTP://127.0.0.1:PORT?x", "/upstream/a%2Fb/?x"),
    // They lead where they did.
    ("x/y", "x/y"),
    ("https://127.0.0.1:PORT/x", "https://127.0.0.1:PORT/x"),
    ("http://127.0.0.1:1/x", "http://127.0.0.1:1/x"),
    ("https://example.org//x", "https://example.org//x"),
];

/// A server that redirects each path to that one of these.
fn redirecting() -> SocketAddr {
    server(true, |request, stream| {
        let host = request.to_lowercase();
        let (_, host) = host.split_once("host: ").unwrap();
        let (_, port) = host.split("\r\n").next().unwrap().split_once(':').unwrap();
        let path = request.split(' ').nth(1).unwrap();
        let location = match path.rsplit_once('/').unwrap().1.parse::<usize>() {
            Ok(n) => REDIRECTS[n].0.replace("PORT", port),
            Err(_) => return answer(stream, "200 OK", "text/plain", path),
        };
        let head = format!(
            "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
    })
}

#[tokio::test]
async fn a_redirect_of_a_server_to_itself_leads_back_through_the_gateway() {
    let address = redirecting();
    let base_url = format!("http://{address}/v1");
    let gateway = Gateway::start(&json!({ "a/b": { "baseUrl": base_url } }));
    for (n, (_, leads_to)) in REDIRECTS.iter().enumerate() {
        let leads_to = leads_to.replace("PORT", &address.port().to_string());
        for path in ["/upstream/a%2Fb", "/v1/a%2Fb"] {
            let reply = gateway.get(&format!("{path}/{n}")).await;
            assert_eq!(reply.status, 302);
            assert_eq!(reply.header("location"), Some(&*leads_to), "{path}");
        }
    }
    let followed = gateway.get("/upstream/a%2Fb/x?a=/b").await;
    assert_eq!(followed.body, "/x?a=/b");
}
