//! A program whose client is a chain of middleware, and whose code ends in `.send()`.

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tower_local_service::{EnsureLocalServiceMiddleware, LocalService};

use crate::check::{Setup, assert_killed, chat, pieces, text};

/// In the place of `reqwest::Client::new()`.
pub(crate) fn client(service: &LocalService) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(EnsureLocalServiceMiddleware::new(service.clone()))
        .build()
}

#[tokio::test]
async fn a_chain_of_middleware_has_one_more() {
    let it = Setup::new("reqwest-middleware");
    let client = client(&it.service);
    let error = it
        .check(|| async {
            let response = client.post(it.url()).json(&chat()).send().await;
            let response = response.map_err(|error| text(&error))?;
            Ok(pieces(response.bytes_stream()))
        })
        .await;
    assert_killed(&error);
}
