//! One address for all model servers of a configuration file, each started by the first request for it.
//!
//! ```text
//! cargo run --features gateway --bin local-service-gateway -- --config examples/config/llama-cpp.json5
//! curl http://127.0.0.1:4000/v1/chat/completions -H 'content-type: application/json' \
//!      -d '{"model": "llama-cpp/gemma-3-4b-it", "messages": [{"role": "user", "content": "Hello"}]}'
//! ```
//!
//! - `POST /v1/*`: to the provider that the body's `model` names (`PROVIDER/MODEL`, or `MODEL` where one
//!   provider alone lists it; without one it is the file's `agents.defaults.model`), as it came but for the
//!   model's name and the headers (see `headers`). The answer is streamed.
//! - `/v1/PROVIDER/…`: to the API of that provider; `/upstream/PROVIDER/…`: to anything of its server. Any method, and
//!   WebSockets.
//! - `GET /v1/models`: what the file lists.
//! - `POST /admin/PROVIDER/start` and `…/stop` (`%2F` for a slash in the id), `POST /admin/stop` for all, `GET
//!   /admin/status`, `/admin/events` and `/admin/PROVIDER/log`.
//! - `GET /`: a page for people.
//! - `GET /metrics`: for Prometheus.
//! - `GET /health`: that the gateway runs, whatever its servers do.
//!
//! SIGHUP reads the files again. Ctrl-C, SIGTERM and the end of the terminal let answers come to their end,
//! then stop the servers that were started; a second signal ends everything immediately.
//!
//! To see how the crate is used, read `upstream`: the layer is there. The rest is what a program needs
//! around it.

mod access;
mod admin;
mod again;
mod app;
mod args;
mod check;
mod choice;
mod config;
mod connection;
mod dialect;
mod direct;
mod early_answer;
mod ending;
mod events;
mod exchange;
mod failure;
mod form;
mod forward;
mod gpu;
mod guard;
mod headers;
mod history;
mod keys;
mod log;
mod metrics;
mod models;
mod origins;
mod overview;
mod page;
mod progress;
mod query;
mod question;
mod redirect;
mod serve;
mod signals;
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
mod sockets;
mod state;
mod terminal;
mod tls;
mod upstream;
mod waiting;
mod watch;
mod websocket;
mod whole;

use std::{io, process::ExitCode, time::Duration};

use clap::Parser;
use tokio::net::{TcpListener, lookup_host};
use tower_local_service::Registry;
use tracing::{info, warn};

use args::{Args, Listen};
use history::History;
use keys::Keys;
use log::Log;
use metrics::Metrics;
use signals::Signals;
use state::Gateway;
use watch::Watch;

/// How long the last lines of the log may take.
const LAST_LINES: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if args.check {
        return check::run(&args);
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
    // Before there are servers, so that none of their events is lost.
    let events = Registry::global().events();
    let metrics = Metrics::begin()?;
    let watched = [Some(&args.config), args.api_key_file.as_ref()];
    let watched = watched.into_iter().flatten().filter(|_| args.watch);
    let watch = Watch::of(watched.cloned().collect());
    let providers = config::load(&args.config)?;
    config::log_warnings(&providers);
    for line in overview::lines(&providers) {
        info!("{line}");
    }
    let keys = args.api_key_file.clone().map(Keys::read).transpose()?;
    if let Some(warning) = keys.as_ref().and_then(|keys| keys::warning(keys.file())) {
        warn!("{warning}");
    }
    // Before anything is ready, so that no signal comes too early.
    let signals = Signals::listen()?;
    let listener = listen(args, keys.is_some()).await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let history = History::new();
    let gateway = Gateway::new(args, providers.clone(), history.clone(), metrics.clone());
    let ending = gateway.ending.clone();
    let app = app::app(args, gateway, keys.clone());
    info!("listening on http://{address}/v1");
    info!("a page for people is at {}", overview::page(address));
    if let Some(curl) = overview::curl(&providers, address, keys.as_ref()) {
        info!("try {curl}");
    }
    let reload = || {
        config::reload(&args.config, &providers);
        keys.iter().for_each(Keys::reload);
    };
    let served = serve::Serve {
        listener,
        app,
        signals,
        drain: args.drain.0,
        watch,
        log,
        ending,
    };
    tokio::select! {
        () = served.run(reload) => {}
        () = history.record(events) => {}
        () = metrics.keep() => {}
        () = config::preload(&providers) => {}
    }
    Ok(())
}

/// Listens, unless that would let other machines use this without a key.
async fn listen(args: &Args, has_keys: bool) -> Result<TcpListener, String> {
    let Listen { host, port } = &args.listen;
    let refused = |error: io::Error| {
        format!(
            "{} cannot be listened on ({error}): end the program that has it, or write --listen with another",
            args.listen
        )
    };
    let addresses = lookup_host((host.as_str(), *port)).await;
    let addresses: Vec<_> = addresses.map_err(refused)?.collect();
    let is_open = addresses.iter().any(|it| !it.ip().is_loopback());
    if is_open && !has_keys {
        if !args.no_api_key {
            return Err(format!(
                "{} can be reached from other machines: write --api-key-file with a file of keys, or \
                 --no-api-key if something before this gateway asks for one",
                args.listen
            ));
        }
        warn!(
            "{} can be reached from other machines, and nobody is asked for a key",
            args.listen
        );
    }
    TcpListener::bind(&*addresses).await.map_err(refused)
}
