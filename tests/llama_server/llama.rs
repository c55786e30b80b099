//! llama-server with the tiny model, and the chats that it is sent.

use std::path::PathBuf;

use http::StatusCode;
use serde_json::{Value, json};
use tower_local_service::BoxError;

use crate::{
    real::{Client, Server, drain, program},
    support::{get, within},
};

/// What the tiny model answers to everything.
pub(crate) const PHRASE: &str = "The local model server is up and streams one token at a time \
                                 until its small phrase ends here.";

/// So many tokens of context that it loads for a while.
pub(crate) const SLOW_TO_LOAD: [&str; 2] = ["--ctx-size", "524288"];

/// So many that it loads even longer: a quarter of a gigabyte.
pub(crate) const LONG_TO_LOAD: [&str; 2] = ["--ctx-size", "1048576"];

pub(crate) fn llama_server() -> PathBuf {
    program("LLAMA_SERVER")
}

pub(crate) fn model() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny.gguf")
}

pub(crate) fn llama() -> Server {
    with_model(Server::new(llama_server()))
}

/// Another server on the same port.
pub(crate) fn llama_on(port: u16) -> Server {
    with_model(Server::on(port, llama_server()))
}

fn with_model(server: Server) -> Server {
    let model = model().display().to_string();
    server
        .args(["--model", &model, "--host", "127.0.0.1", "--context-shift"])
        .with_port()
}

/// A short chat.
pub(crate) fn short() -> Value {
    json!({ "messages": [{ "role": "user", "content": "Hello" }], "max_tokens": 64 })
}

/// An endless chat: the context is shifted when it is full.
pub(crate) fn endless(stream: bool) -> Value {
    json!({
        "messages": [{ "role": "user", "content": "Hello" }],
        "max_tokens": -1,
        "ignore_eos": true,
        "stream": stream,
    })
}

/// Sends a chat, and reads the answer.
pub(crate) async fn chat(client: &Client, json: Value) -> Result<String, BoxError> {
    let response = client.post("/chat/completions", json).await?;
    let status = response.status();
    let text = drain(response).await?;
    assert_eq!(status, StatusCode::OK, "{text}");
    let answer: Value = serde_json::from_str(&text)?;
    let content = answer["choices"][0]["message"]["content"].as_str();
    Ok(content.ok_or("no content")?.trim().to_owned())
}

/// Waits until the server computes an answer.
pub(crate) async fn until_busy(server: &Server) {
    let busy = async {
        loop {
            let slots = get(server.port(), "/slots").await;
            if slots.is_ok_and(|slots| slots.body.contains("\"is_processing\":true")) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    within("it begins to answer", busy).await;
}
