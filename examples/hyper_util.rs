//! A hyper-util client whose requests start the server that they are for.
//!
//! ```sh
//! cargo run --example hyper_util
//! cargo run --example hyper_util -- http://127.0.0.1:8080/v1/models \
//!     /usr/local/bin/llama-server --port 8080 --model /models/gemma.gguf
//! ```
#![expect(clippy::print_stdout, reason = "it shows what the server answered")]

use std::env;

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, ServiceExt};
use tower_local_service::{
    BoxError, ColdStart, EnsureLocalServiceLayer, LocalService, LocalServiceConfig, Registry,
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

    // The client that you have, and the layer around it.
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let config = LocalServiceConfig::new(command).args(args).health_url(url);
    let service = LocalService::new("example", url, config)?;
    let client = EnsureLocalServiceLayer::new(service).layer(client);

    let response = client
        .oneshot(Request::get(url).body(Empty::new())?)
        .await?;
    if let Some(ColdStart { waited, .. }) = response.extensions().get() {
        println!("started the server, which took {waited:?}");
    }
    println!("{} from {url}", response.status());
    let body = response.into_body().collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&body));

    Registry::global().shutdown().await;
    Ok(())
}
