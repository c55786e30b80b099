//! One reqwest client for local and remote servers: requests to the local one start it.
//!
//! ```sh
//! cargo run --example reqwest --features reqwest
//! cargo run --example reqwest --features reqwest -- http://127.0.0.1:8080/v1/models \
//!     /usr/local/bin/llama-server --port 8080 --model /models/gemma.gguf
//! ```
#![expect(clippy::print_stdout, reason = "it shows what the server answered")]

use std::env;

use reqwest::{Client, Method, Request};
use tower::{ServiceBuilder, ServiceExt};
use tower_local_service::{
    BoxError, EnsureLocalServiceLayer, LocalService, LocalServiceConfig, Registry,
};

/// Without arguments.
const PYTHON: &str = "http://127.0.0.1:8642/ /usr/bin/python3 -m http.server 8642 --bind 127.0.0.1";

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
    let client = ServiceBuilder::new()
        // Requests to other origins pass through, as if there were no layer.
        .layer(EnsureLocalServiceLayer::new(service))
        .service(Client::new());

    let request = Request::new(Method::GET, url.parse()?);
    let response = client.oneshot(request).await?;
    println!("{} from {}", response.status(), response.url());
    println!("{}", response.text().await?);

    Registry::global().shutdown().await;
    Ok(())
}
