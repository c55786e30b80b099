//! Asks a local server that does not run yet, and shows each step until it has stopped again.
//!
//! ```text
//! cargo run --example quickstart
//! cargo run --example quickstart -- --server llama-server --model /path/to/model.gguf
//! ```
//!
//! Without `--server` it starts itself as the server: a small one that speaks as much of the `OpenAI`
//! API as is needed here, and pretends to load a model first.

mod choice;
#[path = "../server/mod.rs"]
mod server;
mod show;
mod stream;

use std::{
    env,
    process::{self, ExitCode},
    time::Duration,
};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::signal::ctrl_c;
use tower::{Layer, ServiceExt};
use tower_local_service::{
    BoxError, EnsureLocalServiceLayer, Error, LocalService, LocalServiceConfig, Ownership, Phase,
    Registry, body::LeasedBody,
};

use choice::{Choice, Server};

/// All that a program has to do to have its server started.
async fn ask(server: &Server) -> Result<Response<LeasedBody<Incoming>>, BoxError> {
    let config = LocalServiceConfig::new(&server.command)
        .args(&server.args)
        .idle_stop(Duration::from_secs(1));
    let service = LocalService::new("quickstart", &server.base_url, config)?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let client = EnsureLocalServiceLayer::new(service).layer(client);
    let request = Request::post(format!("{}/chat/completions", server.base_url))
        .header("content-type", "application/json")
        .body(Full::from(QUESTION))?;
    client.oneshot(request).await
}

const QUESTION: &str = r#"{
    "model": "quickstart",
    "messages": [{ "role": "user", "content": "Who started you?" }],
    "max_tokens": 64,
    "stream": true
}"#;

/// By the convention of shells: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let done = match Choice::read(env::args_os().skip(1)) {
        Ok(Choice::Help) => {
            show::text(choice::USAGE);
            Ok(())
        }
        Ok(Choice::Serve(port)) => {
            server::run(port, "quickstart", server::LOADING).map_err(|error| error.to_string())
        }
        Ok(Choice::Ask(server)) => return run(&server),
        Err(mistake) => Err(mistake),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistake) => fail(&mistake),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(server: &Server) -> ExitCode {
    show::follow_events();
    show::question("Who started you?");
    tokio::select! {
        // Listened to before anything is started.
        biased;
        Ok(()) = ctrl_c() => interrupted().await,
        shown = show_answer(server) => match shown {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                Registry::global().shutdown().await;
                fail(&describe(&error))
            }
        },
    }
}

async fn show_answer(server: &Server) -> Result<(), BoxError> {
    let response = ask(server).await?;
    let (status, body) = (response.status(), response.into_body());
    if status != StatusCode::OK {
        let body = body.collect().await?.to_bytes();
        return Err(refusal(status, &String::from_utf8_lossy(&body)).into());
    }
    show::phase("streaming", "");
    stream::each_token(body, show::token).await?;
    show::end_of_tokens();
    show_end().await
}

/// The body has ended, so no request uses the server any more.
async fn show_end() -> Result<(), BoxError> {
    let services = Registry::global().services();
    let service = services.first().ok_or("the service has gone")?;
    let mut watch = service.watch();
    let mut status = service.status();
    if matches!(status.ownership, Some(Ownership::External { .. })) {
        show::phase("idle", "the server was there before, so it keeps running");
        return Ok(());
    }
    if status.leases == 0 {
        show::phase("idle", "no request uses it: in one second it is stopped");
    }
    while !matches!(status.phase, Phase::Stopped | Phase::Failed) {
        status = watch.changed().await;
    }
    match status.last_error {
        Some(error) if status.phase == Phase::Failed => Err(error.into()),
        _ => {
            show::phase("stopped", "nothing of it is left");
            Ok(())
        }
    }
}

/// The answer was dropped, and with it the connection. The server is stopped.
async fn interrupted() -> ExitCode {
    show::end_of_tokens();
    let registry = Registry::global();
    let services = registry.services();
    tokio::select! {
        () = registry.shutdown() => {}
        // A second Ctrl-C does not wait: the server ends with this program.
        Ok(()) = ctrl_c() => process::exit(INTERRUPTED.into()),
    }
    if services.iter().any(|service| service.status().starts > 0) {
        show::phase("stopped", "interrupted; nothing of it is left");
    }
    ExitCode::from(INTERRUPTED)
}

fn refusal(status: StatusCode, body: &str) -> String {
    let body = body.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "the server answered the question with status {status}: {body}; check with its manual that \
         it has /v1/chat/completions, and what its arguments have to be for that"
    )
}

/// What went wrong, and what to do next.
fn describe(error: &BoxError) -> String {
    if let Some(error) = Error::of(error) {
        return format!("{error:#}");
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn fail(mistake: &str) -> ExitCode {
    show::end_of_tokens();
    show::mistake(mistake);
    ExitCode::FAILURE
}
