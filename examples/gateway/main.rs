//! One address for all model servers of a configuration file, each started by the first request for it.
//!
//! ```text
//! cargo run --features json5 --example gateway -- --config examples/config/llama-cpp.json5
//! curl http://127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \
//!      -d '{"model": "llama-cpp/gemma-3-4b-it", "messages": [{"role": "user", "content": "Hello"}]}'
//! ```
//!
//! - `POST /v1/*`: to the provider that the body's `model` names (`PROVIDER/MODEL`; without one it is the
//!   file's `agents.defaults.model`), as it came but for the model's name and the headers (see
//!   `headers`). The answer is streamed.
//! - `GET /v1/models`: what the file lists.
//! - `POST /admin/PROVIDER/start` and `…/stop` (`%2F` for a slash in the id), `GET /admin/status`.
//!
//! SIGHUP reads the file again. Ctrl-C and SIGTERM let answers come to their end, then stop the servers
//! that were started; a second signal ends everything immediately.
//!
//! As an example of the crate, begin with `upstream`: the layer is there. The rest is what a program
//! needs around it.

mod admin;
mod app;
mod args;
mod config;
mod events;
mod failure;
mod forward;
mod guard;
mod headers;
mod models;
mod question;
mod serve;
mod upstream;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use tokio::net::TcpListener;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use args::Args;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistake) => {
            // Not an event: no filter may hide why it does not run.
            drop(writeln!(io::stderr().lock(), "gateway: {mistake}"));
            ExitCode::FAILURE
        }
    }
}

/// An error says what to do.
async fn run(args: &Args) -> Result<(), String> {
    let providers = config::load(&args.config)?;
    // Before anything is ready, so that no signal comes too early.
    let signals = serve::Signals::listen()?;
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        let address = args.listen;
        format!(
            "{address} cannot be listened on ({error}): end the program that has it, or write \
             --listen with another"
        )
    })?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    if !address.ip().is_loopback() {
        warn!("{address} can be reached from other machines, and nobody is asked for a key");
    }
    let app = app::app(args, providers.clone());
    info!("listening on http://{address}/v1");
    let reload = || config::reload(&args.config, &providers);
    serve::run(listener, app, signals, args.drain.0, reload).await;
    Ok(())
}
