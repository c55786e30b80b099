//! A reverse proxy of axum in front of one local server, which its first request starts.
//!
//! ```sh
//! cargo run --example axum_proxy
//! curl http://127.0.0.1:PORT/v1/models
//! ```
//!
//! The program `local-service-gateway` is a proxy for all providers of a configuration file.
#![expect(clippy::print_stdout, reason = "it says where it listens")]

mod server;

use std::time::Duration;

use axum::{
    Json, Router, body::Body, extract::Request, response::IntoResponse, response::Response,
};
use http::{StatusCode, header};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::{net::TcpListener, signal::ctrl_c};
use tower::{Layer, ServiceExt};
use tower_local_service::{BoxError, EnsureLocalServiceLayer, Error, LocalService, Registry};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let port = server::free_port()?;
    let config = server::config(port, "small", server::LOADING)?.idle_stop(Duration::from_secs(60));
    let service = LocalService::new("small", server::base_url(port), config)?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let client = EnsureLocalServiceLayer::new(service).layer(client);

    let app = Router::new().fallback(async move |mut request: Request| {
        let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
        match format!("http://127.0.0.1:{port}{path}").parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return StatusCode::BAD_REQUEST.into_response(),
        }
        request.headers_mut().remove(header::HOST);
        match client.oneshot(request).await {
            // The body has the lease: it ends when the answer does, or when the caller hangs up.
            Ok(response) => response.map(Body::new),
            Err(error) => failure(&error),
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async { drop(ctrl_c().await) })
        .await?;
    Registry::global().shutdown().await;
    Ok(())
}

/// What an error of the layer would be over HTTP; any other is that of the client.
fn failure(error: &BoxError) -> Response {
    let of_layer = Error::of(error);
    let status = of_layer.map(Error::status_code);
    let body = json!({
        "error": { "message": error.to_string(), "hint": of_layer.map(Error::hint) },
    });
    (status.unwrap_or(StatusCode::BAD_GATEWAY), Json(body)).into_response()
}
