//! rig, whose provider starts the local server.
//!
//! ```sh
//! cargo run --manifest-path tests/adopters/Cargo.toml --example rig
//! ```
//!
//! The server is this program itself. For a real one, `config` is `LocalServiceConfig::new` with its path and
//! arguments.

#[path = "../../../examples/server/mod.rs"]
mod server;

use std::time::Duration;

use reqwest_middleware::ClientBuilder;
use rig_core::{
    client::CompletionClient as _,
    completion::{AssistantContent, CompletionModel as _},
    providers::openai::CompletionsClient,
};
use tower_local_service::{BoxError, EnsureLocalServiceMiddleware, LocalService, Registry};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let port = server::free_port()?;
    let base_url = server::base_url(port);
    let config = server::config(port, "small", server::LOADING)?.idle_stop(Duration::from_secs(30));
    let service = LocalService::new("small", &base_url, config)?;

    // The three lines.
    let http = ClientBuilder::new(reqwest::Client::new())
        .with(EnsureLocalServiceMiddleware::new(service))
        .build();
    let provider = CompletionsClient::builder()
        .api_key("none")
        .base_url(base_url)
        .http_client(http)
        .build()?;

    let model = provider.completion_model("small");
    let answer = model.completion_request("Who started you?").send().await?;
    for content in answer.choice {
        if let AssistantContent::Text(text) = content {
            println!("{}", text.text);
        }
    }

    Registry::global().shutdown().await;
    Ok(())
}
