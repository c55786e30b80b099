//! Bodies that name no model in a way that could be understood.

use serde_json::json;

use crate::support::{
    Fixture,
    gateway::{Gateway, provider},
};

#[tokio::test]
async fn what_is_no_question_is_refused_and_starts_nothing() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let deep = format!(r#"{{"model":"one/m","x":{}"#, "[".repeat(100_000));
    let bodies: [&[u8]; 14] = [
        b"",
        b"   ",
        b"hello",
        b"{",
        b"{}",
        br#"{"model":"one/m""#,
        br#"{"model":"one/m"} and more"#,
        br#"["one/m", true]"#,
        br#""one/m""#,
        br#"{"model":7}"#,
        br#"{"model":{"id":"one/m"}}"#,
        br#"{"model":"one/m","model":"two/m"}"#,
        b"{\"model\":\"one/\xff\"}",
        deep.as_bytes(),
    ];
    for body in bodies {
        let reply = gateway.post("/v1/chat/completions", body.to_vec()).await;
        let shown = String::from_utf8_lossy(body);
        let code = reply.failure();
        assert_eq!(
            code,
            (400, "invalid_request".into()),
            "{shown:.60}: {reply:?}"
        );
    }
    assert!(fixture.starts().is_empty());
}

#[tokio::test]
async fn a_model_of_no_provider_is_refused_with_the_providers_that_there_are() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let gateway = Gateway::start(&json!({ "one": provider(&one), "two": provider(&two) }));
    for model in ["three/m", "m", "", "one/", "/m", &"long".repeat(10_000)] {
        let reply = gateway.ask("/v1/echo", &json!({ "model": model })).await;
        let failure = reply.failure();
        assert_eq!(failure, (404, "model_not_found".into()), "{model:.20}");
        assert!(reply.body.contains("one, two"), "{}", reply.body);
        assert!(reply.body.len() < 1000, "{}", reply.body.len());
    }
    assert!(one.starts().is_empty() && two.starts().is_empty());
}

#[tokio::test]
async fn a_mark_in_front_of_the_json_is_no_mistake_and_another_encoding_is_named() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let marked = b"\xef\xbb\xbf{\"model\":\"one/m\"}".to_vec();
    assert_eq!(
        gateway.post("/v1/echo", marked).await.body,
        r#"{"model":"m"}"#
    );
    let wide: Vec<u8> = r#"{"model":"one/m"}"#.bytes().flat_map(|it| [it, 0]).collect();
    let reply = gateway.post("/v1/echo", wide).await;
    assert_eq!(reply.failure(), (400, "invalid_request".into()));
    assert!(reply.body.contains("UTF-8"), "{}", reply.body);
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_the_same_shape() {
    let gateway = Gateway::start(&json!({}));
    assert_eq!(gateway.get("/nowhere").await.failure().0, 404);
    assert_eq!(gateway.get("/v2/models").await.failure().0, 404);
    assert_eq!(gateway.get("/v1/chat/completions").await.failure().0, 405);
    // No GET is passed on.
    for path in [
        "/v1/health",
        "/v1/audio/voices",
        "/v1/responses/r_1",
        "/v1/files",
        "/v1/realtime",
    ] {
        let failure = gateway.get(path).await.failure();
        assert_eq!(failure, (404, "no_such_path".into()), "{path}");
    }
    assert_eq!(gateway.get("/v1/models/").await.json()["object"], "list");
    assert_eq!(gateway.post("/v1/models", "{}").await.failure().0, 405);
    assert_eq!(gateway.get("/admin/one/start").await.failure().0, 405);
    assert!(gateway.log().contains("no provider is configured"));
}
