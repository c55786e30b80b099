//! `mlx_lm.server` on the CPU, with a tiny model. It listens before its model is loaded, answers `/health` and
//! `/v1/models` meanwhile, and streams over HTTP/1.0: what it sends ends with the connection.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower_local_service::{ErrorKind, LocalServiceConfig, Ownership, Phase};

use crate::{
    real::{Client, Server, drain, kind_of, measured, program},
    support::{eventually, gateway::Gateway, kill, within},
};

const CHAT: &str = "/chat/completions";

/// Importing its libraries takes seconds, and loading the model for the first chat, too.
async fn slowly<T>(what: &str, future: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(Duration::from_secs(120), future).await;
    in_time.unwrap_or_else(|_| panic!("hangs: {what}"))
}

fn mlx_lm() -> Server {
    let folder = program("MLX_LM");
    with_model(&folder.join("model").display().to_string())
}

fn with_model(model: &str) -> Server {
    Server::new(program("MLX_LM").join("bin/mlx_lm.server"))
        .args(["--model", model, "--host", "127.0.0.1"])
        .with_port()
}

fn hub() -> String {
    program("MLX_LM").join("hub").display().to_string()
}

/// It looks for models in the hub's folder, and must not look on the network.
fn config(server: &Server) -> LocalServiceConfig {
    server
        .config()
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HUB_CACHE", hub())
        .health_url(health(server))
}

fn health(server: &Server) -> String {
    format!("http://127.0.0.1:{}/health", server.port())
}

/// A streamed chat of this many tokens: the model itself never ends.
fn chat(tokens: u32) -> Value {
    json!({
        "messages": [{ "role": "user", "content": "Hello" }],
        "max_tokens": tokens,
        "stream": true,
    })
}

/// How many tokens the stream had, and whether it is complete.
fn tokens(stream: &str) -> (usize, bool) {
    let data = stream.lines().filter_map(|it| it.strip_prefix("data: "));
    let (done, chunks): (Vec<_>, Vec<_>) = data.partition(|data| *data == "[DONE]");
    let has_text = |chunk: &&&str| {
        let chunk: Value = serde_json::from_str(chunk).expect("an event of JSON");
        chunk["choices"][0]["delta"]["content"].is_string()
    };
    (chunks.iter().filter(has_text).count(), done.len() == 1)
}

#[tokio::test]
#[ignore = "needs MLX_LM=/path/to/folder"]
async fn the_first_chat_starts_mlx_lm_and_it_is_stopped_when_it_is_idle() {
    let server = mlx_lm();
    let idle = config(&server).idle_stop(Duration::from_secs(1));
    let service = server.configured("mlx", idle);
    let client = Client::new(&server, &service);

    let begun = Instant::now();
    let response = slowly("the first chat", client.post(CHAT, chat(20))).await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.version(), http::Version::HTTP_10);
    let text = slowly("its stream", drain(response)).await.unwrap();
    measured("mlx_lm.server: first chat", begun.elapsed());
    let (count, is_complete) = tokens(&text);
    assert!(count > 1 && is_complete, "{text}");

    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    let begun = Instant::now();
    let response = slowly("a warm chat", client.post(CHAT, chat(20))).await;
    let text = slowly("its stream", drain(response.unwrap())).await;
    measured("mlx_lm.server: warm chat", begun.elapsed());
    assert_eq!(tokens(&text.unwrap()), (count, true));
    assert_eq!(service.status().starts, 1);

    let begun = Instant::now();
    eventually("it is stopped", || service.status().phase == Phase::Stopped).await;
    measured("mlx_lm.server: idle stop after 1 s", begun.elapsed());
    assert!(begun.elapsed() >= Duration::from_millis(900));
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs MLX_LM=/path/to/folder"]
async fn a_stream_of_mlx_lm_whose_server_is_killed_is_an_error_and_the_next_one_is_whole() {
    let server = mlx_lm();
    let service = server.configured("mlx-killed", config(&server));
    let client = Client::new(&server, &service);

    let response = slowly("a chat", client.post(CHAT, chat(1_000_000))).await;
    let mut response = response.unwrap();
    let frame = slowly("its beginning", response.body_mut().frame()).await;
    assert!(frame.unwrap().is_ok());
    kill(service.status().pid.expect("it is owned"));
    // Over HTTP/1.0 the client inside takes this for the end of the stream.
    let read = within("the end of the stream", drain(response)).await;
    let error = read.expect_err("it was cut off");
    let kind = kind_of(&error);
    let signal = Some(9);
    assert!(
        matches!(kind, ErrorKind::Exited { signal: it, .. } if it == signal),
        "{error}"
    );

    let response = slowly("the next chat", client.post(CHAT, chat(20))).await;
    let text = slowly("its stream", drain(response.unwrap())).await;
    assert!(tokens(&text.unwrap()).1);
    assert_eq!(service.status().starts, 2);
    service.stop().await.unwrap();
    server.assert_gone();
}

/// It lives on, and answers 503 for ever.
#[tokio::test]
#[ignore = "needs MLX_LM=/path/to/folder"]
async fn why_mlx_lm_cannot_load_its_model_is_in_the_error() {
    let server = with_model("/nonexistent/model");
    let impatient = config(&server).ready_timeout(Duration::from_secs(30));
    let service = server.configured("mlx-without-model", impatient);
    let client = Client::new(&server, &service);

    let failed = slowly("an error", client.post(CHAT, chat(20))).await;
    let error = failed.expect_err("there is no model");
    let kind = kind_of(&error);
    assert!(matches!(kind, ErrorKind::ReadyTimeout { .. }), "{error}");
    let said = error.to_string();
    assert!(said.contains("generation thread died"), "{said}");
    assert!(said.contains("/nonexistent/model"), "{said}");
    eventually("nothing is left", || server.is_gone()).await;
}

#[tokio::test]
#[ignore = "needs MLX_LM=/path/to/folder"]
async fn mlx_lm_ends_when_its_program_is_killed_in_a_stream() {
    let server = mlx_lm();
    let mut provider = server.provider();
    provider["localService"]["healthUrl"] = json!(health(&server));
    provider["localService"]["env"]["HF_HUB_OFFLINE"] = json!("1");
    provider["localService"]["env"]["HF_HUB_CACHE"] = json!(hub());
    provider["models"] = json!([{ "id": "default_model" }]);
    let mut gateway = Gateway::start(&json!({ "mlx": provider }));

    let mut endless = chat(1_000_000);
    endless["model"] = json!("mlx/default_model");
    let path = format!("/v1{CHAT}");
    let opened = async {
        // The gateway's client waits 20 s for a head: its comments come before that.
        let mut response = gateway.open(&path, &endless).await;
        let mut text = String::new();
        while !text.contains("\"content\"") {
            let frame = response.body_mut().frame().await.expect("more of it");
            let data = frame.expect("a body").into_data().expect("data");
            text.push_str(&String::from_utf8_lossy(&data));
        }
        response
    };
    let response = slowly("a stream", opened).await;
    assert!(!server.alive().is_empty());
    let begun = Instant::now();
    gateway.signal(Signal::KILL);
    gateway.ended();
    eventually("nothing is left", || server.is_gone()).await;
    measured("mlx_lm.server: gone after its program", begun.elapsed());
    drop(response);
}
