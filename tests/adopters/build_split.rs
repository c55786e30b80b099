//! Any program with a `RequestBuilder` of reqwest: the builder gives its client and its request.

use reqwest::{Client, RequestBuilder, Response};
use tower::ServiceExt as _;
use tower_local_service::{BoxError, EnsureLocalService, LocalService};

use crate::check::{Setup, assert_killed, chat, pieces, text};

/// In the place of `builder.send()`.
async fn send(builder: RequestBuilder, service: &LocalService) -> Result<Response, BoxError> {
    let (client, request) = builder.build_split();
    let client = EnsureLocalService::new(client, service.clone());
    client.oneshot(request?).await
}

#[tokio::test]
async fn a_request_builder_is_split() {
    let it = Setup::new("build_split");
    let error = it
        .check(|| async {
            let builder = Client::new().post(it.url()).json(&chat());
            let response = send(builder, &it.service).await;
            let response = response.map_err(|error| text(error.as_ref()))?;
            Ok(pieces(response.bytes_stream()))
        })
        .await;
    assert_killed(&error);
}
