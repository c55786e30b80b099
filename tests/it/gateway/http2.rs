//! Clients that speak HTTP/2 without TLS.

use http::Request;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;

use crate::support::{
    Fixture,
    gateway::{Gateway, all, chat_provider},
    within,
};

#[tokio::test]
async fn many_streams_share_a_connection_and_a_host_is_still_checked() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": chat_provider(&fixture) }));
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    for _ in 0..3 {
        let body = json!({ "model": "one/m", "stream": true }).to_string();
        let request = Request::post(gateway.url("/v1/chat/completions")).body(Full::from(body));
        let sent = client.request(request.unwrap());
        let response = within("an answer", sent).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        assert_eq!(response.status(), 200);
        let body = all(response.into_body()).await.unwrap();
        assert!(body.ends_with("data: [DONE]\n\n"), "{body}");
    }
    let foreign = Request::get(gateway.url("/v1/models"))
        .header("host", "page.example")
        .body(Full::default());
    let refused = within("an answer", client.request(foreign.unwrap())).await;
    assert_eq!(refused.unwrap().status(), 403);
}
