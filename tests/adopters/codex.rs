//! codex: its transport has reqwest 0.12, whose response can hold no lease. It reads no URL of a response, so that
//! the conversion to an `http::Response` and back loses nothing.

use reqwest_0_12::{Body, Client, Request, Response};
use tower::{Service, ServiceBuilder, ServiceExt as _};
use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService, body::LeasedBody};

use crate::check::{Setup, assert_killed, chat, pieces, text};

/// In the place of the `Client` that sends.
fn transport(
    client: Client,
    service: &LocalService,
) -> impl Service<Request, Response = Response, Error = BoxError> + Clone {
    ServiceBuilder::new()
        .map_response(|it: http::Response<LeasedBody<Body>>| Response::from(it.map(Body::wrap)))
        .layer(EnsureLocalServiceLayer::new(service.every_request()))
        .map_response(http::Response::<Body>::from)
        .service(client)
}

#[tokio::test]
async fn the_transport_of_codex_is_wrapped() {
    let it = Setup::new("codex");
    let transport = transport(Client::new(), &it.service);
    let error = it
        .check(|| async {
            let request = Client::new().post(it.url()).json(&chat()).build().unwrap();
            let response = transport.clone().oneshot(request).await;
            let response = response.map_err(|error| text(error.as_ref()))?;
            Ok(pieces(response.bytes_stream()))
        })
        .await;
    assert_killed(&error);
}
