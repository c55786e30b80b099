//! One reqwest client for local and remote servers: requests to the local one start it.
//!
//! ```sh
//! cargo run --example reqwest --features reqwest
//! ```
//!
//! The server is this program itself. For a real one, `config` is `LocalServiceConfig::new` with its path and
//! arguments.
#![expect(clippy::print_stdout, reason = "it shows what the server answered")]

mod server;

use std::time::Duration;

use reqwest::Client;
use tower::{Layer, ServiceExt};
use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService, Registry};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let port = server::free_port()?;
    let base_url = server::base_url(port);
    let config = server::config(port, "small", server::LOADING)?.idle_stop(Duration::from_secs(60));
    let service = LocalService::new("small", &base_url, config)?;

    let http = Client::new();
    // Requests to other origins pass through, as if there were no layer.
    let client = EnsureLocalServiceLayer::new(service).layer(http.clone());

    let request = http.get(format!("{base_url}/models")).build()?;
    let response = client.oneshot(request).await?;
    println!("{} from {}", response.status(), response.url());
    println!("{}", response.text().await?);

    Registry::global().shutdown().await;
    Ok(())
}
