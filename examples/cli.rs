//! A command that asks a model. A server that it starts ends with it, so every run that finds none waits for a start:
//! for a command that is used often, let a gateway or a server of your own run (`--url`).
//!
//! ```sh
//! cargo run --example cli -- "Who started you?"
//! cargo run --example cli -- --url http://127.0.0.1:8080/v1 "Who started you?"
//! ```
//!
//! The answer goes to the standard output, all else to the standard error. After 300 ms it says that it waits.
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "it is a command")]

mod server;

use std::{env, process::ExitCode, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::time::{interval, sleep};
use tower::{Layer, ServiceExt};
use tower_local_service::{
    BoxError, EnsureLocalServiceLayer, Error, LocalService, Phase, Registry,
};

const USAGE: &str = "cli [--url BASE_URL] QUESTION";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    server::serve_if_asked();
    let args: Vec<String> = env::args().skip(1).collect();
    let answered = match &args[..] {
        [question] => ask(None, question).await,
        [flag, url, question] if flag == "--url" => ask(Some(url), question).await,
        _ => Err(USAGE.into()),
    };
    // Also after an error: the server that was started is stopped before this program ends.
    Registry::global().shutdown().await;
    match answered {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // What happened, the last output of the server, and what to do next, in three lines.
            match Error::of(&error) {
                Some(error) => eprintln!("cli: {error:#}"),
                None => eprintln!("cli: {error}"),
            }
            ExitCode::FAILURE
        }
    }
}

async fn ask(url: Option<&str>, question: &str) -> Result<(), BoxError> {
    let port = server::free_port()?;
    let base_url = url.map_or_else(|| server::base_url(port), str::to_owned);
    // If a server runs at the URL already, that one is used, and nothing is started.
    let config = server::config(port, "small", server::LOADING)?;
    let service = LocalService::new("small", &base_url, config)?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let client = EnsureLocalServiceLayer::new(service.clone()).layer(client);

    let chat = json!({
        "model": "small",
        "messages": [{ "role": "user", "content": question }],
    });
    let request = Request::post(format!("{base_url}/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::from(chat.to_string()))?;
    let response = tokio::select! {
        response = client.oneshot(request) => response?,
        () = progress(&service) => unreachable!("it never ends"),
    };
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        return Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into());
    }
    let answer: Value = serde_json::from_slice(&body)?;
    let content = answer["choices"][0]["message"]["content"].as_str();
    println!("{}", content.ok_or("an answer without content")?);
    Ok(())
}

/// Says what is waited for, if that takes longer than a moment.
async fn progress(service: &LocalService) {
    sleep(Duration::from_millis(300)).await;
    let mut ticks = interval(Duration::from_secs(1));
    for seconds in 0_u64.. {
        ticks.tick().await;
        match service.status().phase {
            Phase::Ready => eprintln!("waiting for the answer … {seconds} s"),
            _ => eprintln!("loading the model … {seconds} s"),
        }
    }
}
