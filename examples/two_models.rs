//! Two models on one port, and so with one GPU: the server of one makes way for the server of the other.
//!
//! ```sh
//! cargo run --example two_models
//! ```
//!
//! The servers are this program itself. For real ones, each `config` is `LocalServiceConfig::new` with the path of
//! a server, its model and the same port.
#![expect(clippy::print_stdout, reason = "it shows which server answered")]

mod server;

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};
use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService, Registry};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let port = server::free_port()?;
    let base_url = server::base_url(port);
    let service = |model: &str| -> Result<LocalService, BoxError> {
        let config = server::config(port, model, Duration::from_millis(300))?;
        Ok(LocalService::new(model, &base_url, config)?)
    };
    let models = [service("chat")?, service("embeddings")?];

    // Both have the same URL, so a header says which one a request is for. It could be the path, or anything else.
    let which = {
        let models = models.clone();
        move |request: &Request<Empty<Bytes>>| {
            let wanted = request.headers().get("model")?;
            models.iter().find(|it| wanted == it.name()).cloned()
        }
    };
    let client = Client::builder(TokioExecutor::new())
        // A connection to the one must not be used for the other.
        .pool_max_idle_per_host(0)
        .build_http::<Empty<Bytes>>();
    let client = EnsureLocalServiceLayer::new(which).layer(client);

    for model in ["chat", "embeddings", "embeddings", "chat"] {
        let request = Request::get(format!("{base_url}/models"))
            .header("model", model)
            .body(Empty::new())?;
        let response = client.clone().oneshot(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        let starts = models.iter().map(|it| it.status().starts).sum::<u64>();
        println!(
            "{model:<10} {} ({starts} starts)",
            String::from_utf8_lossy(&body)
        );
    }

    Registry::global().shutdown().await;
    Ok(())
}
