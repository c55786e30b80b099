//! `--api-key`: `/health` needs no key, `/v1/models` needs one in some builds only.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tower_local_service::{ErrorKind, Phase};

use crate::{
    llama::{PHRASE, chat, llama, llama_on, short},
    real::{Client, Server, measured},
    support::{eventually, get, is_alive, within},
};

const KEY: &str = "sk-of-the-test-7391";

fn guarded() -> Server {
    llama().args(["--api-key", KEY])
}

/// A path that needs the key: `/v1/models` (the default health URL) if it does, or else `/props`.
async fn guarded_url(server: &Server) -> String {
    let probed = guarded();
    let outside = probed.run_outside();
    let status = |path| {
        let port = probed.port();
        async move { get(port, path).await.map_or(0, |it| it.status) }
    };
    let ready = async {
        while status("/health").await != 200 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within("it is ready", ready).await;
    let path = match status("/v1/models").await {
        401 => "/v1/models",
        _ => "/props",
    };
    assert_eq!(status(path).await, 401, "{path} wants the key");
    drop(outside);
    format!("http://127.0.0.1:{}{path}", server.port())
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_health_url_without_its_key_is_an_error_at_once_that_says_what_to_set() {
    let server = guarded();
    let config = server.config().health_url(guarded_url(&server).await);
    let service = server.configured("llama-without-key", config);

    let begun = Instant::now();
    let error = within("a rejection", service.acquire()).await.unwrap_err();
    measured("the health URL answers 401: told after", begun.elapsed());

    assert!(
        matches!(error.kind(), ErrorKind::HealthRejected { status: 401, .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("healthHeaders") && text.contains("/health"),
        "{text}"
    );
    assert!(!format!("{text} {error:?} {service:?}").contains(KEY));
    eventually("the rejected server is stopped", || {
        service.status().phase == Phase::Failed
    })
    .await;
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_key_in_the_health_headers_makes_it_ready() {
    let server = guarded();
    let config = server.config().health_url(guarded_url(&server).await);
    let config = config.health_headers([("Authorization", format!("Bearer {KEY}"))]);
    let service = server.configured("llama-with-key", config);
    let client = Client::new(&server, &service);

    let answer = within("a chat", chat(&client.clone().key(KEY), short())).await;
    assert_eq!(answer.unwrap(), PHRASE);

    // A request without a key is refused by the server, which runs on.
    let refused = client.post("/chat/completions", short()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    drop(refused);
    let stranger = client.clone().key("sk-wrong");
    let refused = stranger.post("/chat/completions", short()).await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    drop(refused);
    let answer = chat(&client.key(KEY), short()).await;
    assert_eq!(answer.unwrap(), PHRASE);
    assert_eq!(service.status().starts, 1);

    service.stop().await.unwrap();
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_health_url_that_is_open_to_all_needs_no_key() {
    let server = guarded();
    let health_url = format!("http://127.0.0.1:{}/health", server.port());
    let service = server.configured("llama-open-health", server.config().health_url(health_url));
    let client = Client::new(&server, &service).key(KEY);

    let answer = within("a chat", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    service.stop().await.unwrap();
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn an_external_server_that_requires_a_key_is_an_error_at_once() {
    let external = guarded();
    let outside = external.run_outside();
    let configured = llama_on(external.port());
    let config = configured
        .config()
        .health_url(guarded_url(&configured).await);
    let service = configured.configured("llama-occupied", config);
    let health = || async {
        get(external.port(), "/health")
            .await
            .map_or(0, |it| it.status)
    };
    while health().await != 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    let begun = Instant::now();
    let error = within("an error", service.acquire()).await.unwrap_err();
    measured(
        "an external server that requires a key: error after",
        begun.elapsed(),
    );
    assert!(
        matches!(error.kind(), ErrorKind::AddressInUse { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains("401") && text.contains("healthUrl"), "{text}");
    assert_eq!(service.status().starts, 0);
    assert!(is_alive(outside.pid()));
    drop(outside);
}
