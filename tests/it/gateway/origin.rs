//! Pages of other sites, in the browser of the person who runs the gateway.

use http::{Method, Request};
use http_body_util::Full;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    Fixture,
    gateway::{Gateway, Reply, provider},
    within,
};

const PAGE: &str = "http://page.example:3000";

async fn send(gateway: &Gateway, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(gateway.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "model": "one/m" }).to_string();
    gateway
        .reply_to(request.body(Full::from(body)).unwrap())
        .await
}

#[tokio::test]
async fn a_page_of_another_site_starts_and_reads_nothing() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    for (method, path) in [
        (Method::POST, "/v1/echo"),
        (Method::POST, "/admin/one/start"),
        (Method::GET, "/v1/models"),
        (Method::GET, "/admin/status"),
        (Method::OPTIONS, "/v1/echo"),
    ] {
        for origin in [PAGE, "null", "http://127.0.0.1"] {
            let reply = send(&gateway, method.clone(), path, &[("origin", origin)]).await;
            assert_eq!(reply.failure(), (403, "forbidden".into()), "{path}");
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    }
    assert!(fixture.starts().is_empty());
}

/// Images and links of other sites have no `Origin`.
#[tokio::test]
async fn a_picture_of_another_site_starts_and_reads_nothing() {
    let gateway = Gateway::start(&json!({}));
    for path in ["/v1/models", "/admin/status", "/health"] {
        for (site, status) in [
            ("cross-site", 403),
            ("same-site", 403),
            ("same-origin", 200),
            ("none", 200),
        ] {
            let reply = send(&gateway, Method::GET, path, &[("sec-fetch-site", site)]).await;
            assert_eq!(reply.status, status, "{path} {site}");
        }
    }
}

#[tokio::test]
async fn the_page_of_the_gateway_may_use_it() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let own = format!("http://{}", gateway.address());
    for (origin, site, status) in [
        (&*own, "same-origin", 200),
        (&own, "cross-site", 403),
        (&own, "same-site", 403),
        // Another program of this machine.
        ("http://127.0.0.1:1", "same-site", 403),
        ("http://127.0.0.1:1", "same-origin", 403),
    ] {
        let headers = [("origin", origin), ("sec-fetch-site", site)];
        let reply = send(&gateway, Method::POST, "/admin/stop", &headers).await;
        assert_eq!(reply.status, status, "{origin} {site}");
    }
}

/// DNS rebinding: the name of a page is made to stand for this machine.
#[tokio::test]
async fn a_host_that_is_not_this_machine_is_refused() {
    let fixture = Fixture::new();
    let providers = json!({ "one": provider(&fixture) });
    let gateway = Gateway::start_with(&providers, &["--allow-host", "models.lan"]);
    for (host, status) in [
        ("page.example", 403),
        ("page.example:4000", 403),
        ("localhost.page.example", 403),
        ("127.0.0.1.page.example", 403),
        ("user@page.example", 403),
        ("", 403),
        ("localhost", 200),
        ("LOCALHOST:4000", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:4000", 200),
        ("192.168.1.5", 200),
        ("models.lan:4000", 200),
        ("Models.LAN", 200),
    ] {
        let reply = send(&gateway, Method::GET, "/v1/models", &[("host", host)]).await;
        assert_eq!(reply.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let gateway = Gateway::start(&json!({}));
    let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
    stream
        .write_all(b"GET /v1/models HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(answer.contains(" 403 "), "{answer}");
}

#[tokio::test]
async fn a_page_that_is_allowed_may_ask_and_read() {
    let fixture = Fixture::new();
    let providers = json!({ "one": provider(&fixture) });
    let gateway = Gateway::start_with(&providers, &["--allow-origin", PAGE]);
    let preflight = [
        ("origin", PAGE),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "content-type, authorization",
        ),
    ];
    let asked = send(&gateway, Method::OPTIONS, "/v1/hello", &preflight).await;
    assert_eq!(asked.status, 200);
    assert_eq!(asked.header("access-control-allow-origin"), Some(PAGE));
    let headers = asked.header("access-control-allow-headers").unwrap();
    assert!(headers.contains("authorization"), "{headers}");
    assert!(fixture.starts().is_empty());

    let reply = send(&gateway, Method::POST, "/v1/hello", &[("origin", PAGE)]).await;
    assert_eq!(reply.body, "hello");
    assert_eq!(reply.header("access-control-allow-origin"), Some(PAGE));
    // And no other, nor one that begins like it.
    for origin in ["http://page.example:30000", "https://page.example:3000"] {
        let other = send(&gateway, Method::POST, "/v1/hello", &[("origin", origin)]).await;
        assert_eq!(other.status, 403, "{origin}");
    }
}

/// Editors and programs on the desktop have origins that are no sites.
#[tokio::test]
async fn origins_that_are_no_sites_and_patterns_can_be_allowed() {
    let fixture = Fixture::new();
    let providers = json!({ "one": provider(&fixture) });
    for (allowed, origin, others) in [
        ("null", "null", &["file://", PAGE][..]),
        (
            "app://obsidian.md",
            "app://obsidian.md",
            &["null", "app://obsidian.md.x"],
        ),
        (
            "chrome-extension://abcdefgh/",
            "chrome-extension://abcdefgh",
            &["chrome-extension://abc"],
        ),
        (
            "vscode-webview://*",
            "vscode-webview://1a2b3c",
            &["vscode-webview://", "null", PAGE],
        ),
        (
            "http://localhost:*",
            "http://localhost:5173",
            &["http://localhost", "https://localhost:1"],
        ),
        (
            "https://*.page.example",
            "https://a.page.example",
            &["https://page.example", "https://a.page.example.org"],
        ),
        ("*", PAGE, &[]),
        ("*", "null", &[]),
    ] {
        let gateway = Gateway::start_with(&providers, &["--allow-origin", allowed]);
        let preflight = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ];
        let asked = send(&gateway, Method::OPTIONS, "/v1/hello", &preflight).await;
        assert_eq!(asked.header("access-control-allow-origin"), Some(origin));
        assert!(
            asked.header("access-control-max-age").is_some(),
            "{asked:?}"
        );
        let reply = send(&gateway, Method::GET, "/v1/models", &[("origin", origin)]).await;
        assert_eq!(reply.status, 200, "{allowed}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
        for other in others {
            let refused = send(&gateway, Method::GET, "/v1/models", &[("origin", other)]).await;
            assert_eq!(refused.status, 403, "{allowed} and {other}");
            assert!(
                refused.body.contains(&format!("--allow-origin {other}")),
                "{refused:?}"
            );
        }
    }
}

#[tokio::test]
async fn without_being_asked_no_answer_allows_a_page_anything() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    for reply in [
        gateway.get("/v1/models").await,
        gateway.ask("/v1/hello", &json!({ "model": "one/m" })).await,
    ] {
        let names = reply.headers.keys().map(http::HeaderName::as_str);
        let allowed: Vec<_> = names
            .filter(|it| it.starts_with("access-control"))
            .collect();
        assert!(allowed.is_empty(), "{allowed:?}");
    }
}
