//! `api` of a provider, which says how its base URL is meant.

use serde_json::json;

use crate::support::{
    Fixture,
    gateway::{Gateway, answer, provider, server},
};

#[tokio::test]
async fn the_api_says_whether_the_base_url_has_a_version() {
    let server = server(true, |request, stream| {
        let line = request.lines().next().unwrap().to_owned();
        let key = request.to_lowercase().contains("x-api-key: a-key");
        answer(stream, "200 OK", "text/plain", &format!("{line} {key}"));
    });
    let root = format!("http://{server}");
    let gateway = Gateway::start(&json!({
        "ollama": { "baseUrl": root, "api": "ollama", "apiKey": "a-key" },
        "ollama-v1": { "baseUrl": format!("{root}/v1/"), "api": "ollama" },
        "anthropic": { "baseUrl": format!("{root}/deep"), "api": "anthropic-messages", "apiKey": "a-key" },
        "openai": { "baseUrl": root, "api": "openai-completions", "apiKey": "a-key" },
        "none": { "baseUrl": format!("{root}/v1") },
    }));
    for (provider, path, arrives) in [
        (
            "ollama",
            "/v1/chat/completions",
            "POST /v1/chat/completions HTTP/1.1 false",
        ),
        (
            "ollama-v1",
            "/v1/chat/completions",
            "POST /v1/chat/completions HTTP/1.1 false",
        ),
        (
            "anthropic",
            "/v1/messages",
            "POST /deep/v1/messages HTTP/1.1 true",
        ),
        ("openai", "/v1/tokenize", "POST /tokenize HTTP/1.1 false"),
        (
            "none",
            "/v1/responses?a=b",
            "POST /v1/responses?a=b HTTP/1.1 false",
        ),
    ] {
        let ask = json!({ "model": format!("{provider}/m") });
        assert_eq!(gateway.ask(path, &ask).await.body, arrives, "{provider}");
    }
    assert!(!gateway.log().contains("its api"), "{}", gateway.log());
}

#[tokio::test]
async fn an_api_that_clients_do_not_speak_here_is_a_warning_at_the_start() {
    let gateway = Gateway::start(&json!({
        "far": { "baseUrl": "http://127.0.0.1:9/v1", "api": "google-generative-ai" },
    }));
    let log = gateway.log();
    assert!(log.contains("google-generative-ai"), "{log}");
    assert!(log.contains("far"), "{log}");
}

#[tokio::test]
async fn a_server_whose_base_url_has_no_version_is_probed_where_it_lists_its_models() {
    let (local, deep) = (Fixture::new(), Fixture::new());
    let of = |fixture: &Fixture, api: &str| {
        let mut it = provider(fixture);
        it["baseUrl"] = json!(fixture.url(""));
        it["api"] = json!(api);
        it["localService"]
            .as_object_mut()
            .expect("an object")
            .remove("healthUrl");
        it
    };
    let gateway = Gateway::start(&json!({
        "ollama": of(&local, "ollama"),
        "anthropic": of(&deep, "anthropic-messages"),
    }));
    for provider in ["ollama", "anthropic"] {
        let path = format!("/admin/{provider}/start");
        assert_eq!(gateway.post(&path, "").await.status, 200, "{provider}");
    }
}
