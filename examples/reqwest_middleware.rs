//! A client of reqwest-middleware whose requests start the server that they are for; what else fails is
//! tried again by reqwest-retry.
//!
//! ```sh
//! cargo run --example reqwest_middleware --features reqwest-middleware
//! cargo run --example reqwest_middleware --features reqwest-middleware -- \
//!     http://127.0.0.1:8080/v1/models /usr/local/bin/llama-server --port 8080 --model /models/gemma.gguf
//! ```
#![expect(clippy::print_stdout, reason = "it shows what the server answered")]

use std::env;

use reqwest_middleware::ClientBuilder;
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use tower_local_service::{
    BoxError, EnsureLocalServiceMiddleware, LocalService, LocalServiceConfig, Registry,
};

/// Without arguments.
const PYTHON: &str = "http://127.0.0.1:8644/ /usr/bin/python3 -m http.server 8644 --bind 127.0.0.1";

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut words: Vec<String> = env::args().skip(1).collect();
    if words.is_empty() {
        words = PYTHON.split(' ').map(String::from).collect();
    }
    let [url, command, args @ ..] = &words[..] else {
        return Err("write a URL, and behind it the command of the server that answers it".into());
    };

    let config = LocalServiceConfig::new(command).args(args).health_url(url);
    let service = LocalService::new("example", url, config)?;
    let retries = ExponentialBackoff::builder().build_with_max_retries(2);
    let client = ClientBuilder::new(reqwest::Client::new())
        // First is outermost: each try makes sure again that the server runs.
        .with(RetryTransientMiddleware::new_with_policy(retries))
        .with(EnsureLocalServiceMiddleware::new(service))
        .build();

    let response = client.get(url).send().await?;
    println!("{} from {}", response.status(), response.url());
    println!("{}", response.text().await?);

    Registry::global().shutdown().await;
    Ok(())
}
