//! A client of reqwest-middleware whose requests start the server that they are for; what else fails is
//! tried again by reqwest-retry.
//!
//! ```sh
//! cargo run --example reqwest_middleware --features reqwest-middleware
//! ```
//!
//! The server is this program itself. For a real one, `config` is `LocalServiceConfig::new` with its path and
//! arguments.
#![expect(clippy::print_stdout, reason = "it shows what the server answered")]

mod server;

use std::time::Duration;

use reqwest_middleware::ClientBuilder;
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use tower_local_service::{BoxError, EnsureLocalServiceMiddleware, LocalService, Registry};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let port = server::free_port()?;
    let base_url = server::base_url(port);
    let config = server::config(port, "small", server::LOADING)?.idle_stop(Duration::from_secs(60));
    let service = LocalService::new("small", &base_url, config)?;

    let retries = ExponentialBackoff::builder().build_with_max_retries(2);
    let client = ClientBuilder::new(reqwest::Client::new())
        // First is outermost: each try makes sure again that the server runs.
        .with(RetryTransientMiddleware::new_with_policy(retries))
        .with(EnsureLocalServiceMiddleware::new(service))
        .build();

    let response = client.get(format!("{base_url}/models")).send().await?;
    println!("{} from {}", response.status(), response.url());
    println!("{}", response.text().await?);

    Registry::global().shutdown().await;
    Ok(())
}
