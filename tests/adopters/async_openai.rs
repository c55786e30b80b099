//! async-openai: its client sends with a Tower service.

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    middleware::ReqwestService,
    types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs},
};
use tower_local_service::{EnsureLocalService, LocalService};

use crate::check::{Pieces, Setup, assert_broken, assert_example, pieces, text};

fn client(config: OpenAIConfig, service: &LocalService) -> Client<OpenAIConfig> {
    let http = ReqwestService::new(reqwest::Client::new());
    let http = EnsureLocalService::new(http, service.every_request());
    Client::with_config(config).with_http_service(http)
}

async fn open(base_url: &str, service: &LocalService) -> Result<Pieces, OpenAIError> {
    let config = OpenAIConfig::new()
        .with_api_base(base_url)
        .with_api_key("none");
    let request = CreateChatCompletionRequestArgs::default()
        .model("fixture")
        .messages([ChatCompletionRequestUserMessage::from("Hello").into()])
        .build()?;
    let client = client(config, service);
    Ok(pieces(client.chat().create_stream(request).await?))
}

#[tokio::test]
async fn the_client_of_async_openai_takes_the_layer() {
    let it = Setup::new("async-openai");
    let base_url = it.fixture.base_url();
    let error = it
        .check(|| async {
            let opened = open(&base_url, &it.service).await;
            opened.map_err(|error| text(&error))
        })
        .await;
    assert_broken(&error);
}

#[test]
fn the_example_prints_an_answer() {
    assert_example("async_openai");
}
