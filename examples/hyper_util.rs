//! A hyper-util client whose requests start the server that they are for.
//!
//! ```sh
//! cargo run --example hyper_util
//! ```
//!
//! The server is this program itself. For a real one, `config` is `LocalServiceConfig::new` with its path and
//! arguments.
#![expect(clippy::print_stdout, reason = "it shows what the server answered")]

mod server;

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};
use tower_local_service::{BoxError, ColdStart, EnsureLocalServiceLayer, LocalService, Registry};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let port = server::free_port()?;
    let base_url = server::base_url(port);
    let config = server::config(port, "small", server::LOADING)?.idle_stop(Duration::from_secs(60));
    let service = LocalService::new("small", &base_url, config)?;

    // The client that you have, and the layer around it.
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let client = EnsureLocalServiceLayer::new(service).layer(client);

    let request = Request::get(format!("{base_url}/models")).body(Empty::new())?;
    let response = client.oneshot(request).await?;
    if let Some(ColdStart { waited, .. }) = response.extensions().get() {
        println!("started the server, which took {waited:?}");
    }
    println!("{} from {base_url}", response.status());
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));

    Registry::global().shutdown().await;
    Ok(())
}
