//! One address for all model servers of a configuration file, each started by the first request for it.
//!
//! ```text
//! cargo run --features gateway --bin local-service-gateway -- --config examples/config/llama-cpp.json5
//! curl http://127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \
//!      -d '{"model": "llama-cpp/gemma-3-4b-it", "messages": [{"role": "user", "content": "Hello"}]}'
//! ```
//!
//! - `POST /v1/*`: to the provider that the body's `model` names (`PROVIDER/MODEL`; without one it is the
//!   file's `agents.defaults.model`), as it came but for the model's name and the headers (see
//!   `headers`). The answer is streamed.
//! - `GET /v1/models`: what the file lists.
//! - `POST /admin/PROVIDER/start` and `…/stop` (`%2F` for a slash in the id), `POST /admin/stop` for all, `GET
//!   /admin/status`.
//! - `GET /health`: that the gateway runs, whatever its servers do.
//!
//! SIGHUP reads the file again. Ctrl-C, SIGTERM and the end of the terminal let answers come to their end,
//! then stop the servers that were started; a second signal ends everything immediately.
//!
//! To see how the crate is used, read `upstream`: the layer is there. The rest is what a program needs
//! around it.

mod access;
mod admin;
mod app;
mod args;
mod check;
mod config;
mod connection;
mod dialect;
mod early_answer;
mod events;
mod failure;
mod forward;
mod guard;
mod headers;
mod log;
mod models;
mod origins;
mod overview;
mod progress;
mod question;
mod serve;
mod terminal;
mod upstream;
mod whole;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tokio::net::TcpListener;
use tracing::{info, warn};

use args::{Args, Listen};
use log::Log;

/// How long the last lines of the log may take.
const LAST_LINES: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.check {
        return check::run(&args.config);
    }
    let log = Log::begin();
    let code = match run(&args, &log).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(mistake) => {
            // Not an event: no filter may hide why it does not run.
            log.line(&format!("gateway: {mistake}"));
            ExitCode::FAILURE
        }
    };
    log.flush(LAST_LINES);
    code
}

/// An error says what to do.
async fn run(args: &Args, log: &Log) -> Result<(), String> {
    let providers = config::load(&args.config)?;
    config::log_warnings(&providers);
    for line in overview::lines(&providers) {
        info!("{line}");
    }
    // Before anything is ready, so that no signal comes too early.
    let signals = serve::Signals::listen()?;
    let Listen { host, port } = &args.listen;
    let listener = TcpListener::bind((host.as_str(), *port)).await;
    let listener = listener.map_err(|error| {
        let address = &args.listen;
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
    if let Some(curl) = overview::curl(&providers, address) {
        info!("try {curl}");
    }
    let reload = || config::reload(&args.config, &providers);
    serve::run(listener, app, signals, args.drain.0, log, reload).await;
    Ok(())
}
