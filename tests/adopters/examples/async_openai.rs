//! async-openai, whose client starts the local server.
//!
//! ```sh
//! cargo run --manifest-path tests/adopters/Cargo.toml --example async_openai
//! ```
//!
//! The server is this program itself. For a real one, `config` is `LocalServiceConfig::new` with its path and
//! arguments.

#[path = "../../../examples/server/mod.rs"]
mod server;

use std::time::Duration;

use async_openai::{
    Client,
    config::OpenAIConfig,
    middleware::ReqwestService,
    types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs},
};
use futures::StreamExt as _;
use tower_local_service::{BoxError, EnsureLocalService, LocalService, Registry};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let port = server::free_port()?;
    let base_url = server::base_url(port);
    let config = server::config(port, "small", server::LOADING)?.idle_stop(Duration::from_secs(30));
    let service = LocalService::new("small", &base_url, config)?;

    // The three lines.
    let http = ReqwestService::new(reqwest::Client::new());
    let http = EnsureLocalService::new(http, service.every_request());
    let openai = OpenAIConfig::new().with_api_base(base_url);
    let client = Client::with_config(openai.with_api_key("none")).with_http_service(http);

    let request = CreateChatCompletionRequestArgs::default()
        .model("small")
        .messages([ChatCompletionRequestUserMessage::from("Who started you?").into()])
        .build()?;
    let mut tokens = client.chat().create_stream(request).await?;
    while let Some(event) = tokens.next().await {
        for choice in event?.choices {
            print!("{}", choice.delta.content.unwrap_or_default());
        }
    }
    println!();

    Registry::global().shutdown().await;
    Ok(())
}
