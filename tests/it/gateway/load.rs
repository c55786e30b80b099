//! As much as 64 connections ask for.

use std::{sync::Arc, time::Duration};

use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};
use tower_local_service::BoxError;

use crate::support::{
    Fixture, amount,
    gateway::{Gateway, chat_provider},
};

const CONNECTIONS: usize = 64;

fn duration() -> Duration {
    let seconds = amount("GATEWAY_LOAD_SECONDS", 2);
    Duration::from_secs(seconds.try_into().expect("few"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_connections_are_served_without_an_error() {
    let fixture = Fixture::new().with("--tokens", 3).with("--token-gap", 1);
    let gateway = Arc::new(Gateway::start(&json!({ "one": chat_provider(&fixture) })));
    let until = Instant::now() + duration();
    let mut senders = JoinSet::new();
    for n in 0..CONNECTIONS {
        let url = gateway.url("/v1/chat/completions");
        let ask = json!({ "messages": [], "stream": n % 2 == 0, "model": "one/m" }).to_string();
        senders.spawn(async move {
            // One connection, which is kept.
            let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
            let mut served = 0;
            while Instant::now() < until {
                let request = Request::post(&url).body(Full::from(ask.clone()))?;
                let response = client.request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                let is_whole = body.ends_with(b"[DONE]\n\n") || body.ends_with(b"}");
                if status != 200 || !is_whole {
                    return Err(format!("{status} after {served}: {body:?}").into());
                }
                served += 1;
            }
            Ok::<_, BoxError>(served)
        });
    }
    let mut served = 0;
    while let Some(sender) = senders.join_next().await {
        served += sender.unwrap().expect("no request fails");
    }
    assert!(served >= CONNECTIONS, "{served}");
    assert_eq!(fixture.starts().len(), 1);
    let status = gateway.until("one", |status| status["leases"] == 0).await;
    assert_eq!(status["waiters"], 0);
}
