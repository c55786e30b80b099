//! A server that is killed between two requests, and a client that notices nothing of it.
//!
//! ```sh
//! cargo run --example retry --features retry
//! ```
#![expect(clippy::print_stdout, reason = "it shows what the server answered")]

mod server;

use std::{process::Command, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_local_service::{
    BoxError, EnsureLocalServiceLayer, LocalService, Registry, retry::ServerGone,
};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let port = server::free_port()?;
    let base_url = server::base_url(port);
    let config = server::config(port, "small", Duration::from_millis(300))?;
    let service = LocalService::new("small", &base_url, config)?;

    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut client = ServiceBuilder::new()
        // Outside: the second try comes by the layer again, which starts the server.
        .retry(ServerGone::new(service.clone()))
        .layer(EnsureLocalServiceLayer::new(service.clone()))
        .service(client);

    for round in ["started", "after it was killed"] {
        let request = Request::get(format!("{base_url}/models")).body(Empty::new())?;
        let response = client.ready().await?.call(request).await?;
        let status = response.status();
        response.into_body().collect().await?;

        let pid = service
            .status()
            .pid
            .ok_or("no process that this program started")?;
        println!("{round}: {status}, from process {pid}");
        // The next request may be sent before anybody knows.
        Command::new("kill")
            .args(["-KILL", &pid.to_string()])
            .status()?;
    }
    println!("starts: {}", service.status().starts);

    Registry::global().shutdown().await;
    Ok(())
}
