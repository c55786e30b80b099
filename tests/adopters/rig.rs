//! rig: its providers take a client of reqwest-middleware.

use rig_core::{
    client::CompletionClient as _,
    completion::{CompletionError, CompletionModel as _},
    providers::openai::CompletionsClient,
};
use tower_local_service::LocalService;

use crate::{
    check::{Pieces, Setup, assert_broken, assert_example, pieces, text},
    reqwest_middleware::client,
};

async fn open(base_url: &str, service: &LocalService) -> Result<Pieces, CompletionError> {
    let provider = CompletionsClient::builder()
        .api_key("none")
        .base_url(base_url)
        .http_client(client(service))
        .build()?;
    let model = provider.completion_model("fixture");
    let stream = model.completion_request("Hello").stream().await?;
    Ok(pieces(stream))
}

#[tokio::test]
async fn a_provider_of_rig_takes_the_client() {
    let it = Setup::new("rig");
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
    assert_example("rig");
}
