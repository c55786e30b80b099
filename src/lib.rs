//! Starts a local server on demand, before the request that needs it is sent.
//!
//! [`EnsureLocalServiceLayer`] is a Tower middleware for HTTP *clients*. Before a request is sent, it makes
//! sure that the server behind the URL is running: it starts the process, waits until it is ready, sends
//! the request, and stops the process when the last response has ended and the idle time has passed. It is
//! made for model servers such as llama.cpp, vLLM and MLX, and works for any local HTTP server.
//!
//! ```text
//! request ─▶ is it ready? ─ yes ──────────────────▶ send ─▶ response holds a lease
//!                 └─ no ─▶ start the process ─▶ wait ─┘          └─ body ends ─▶ idle ─▶ stop
//! ```
//!
//! No daemon is installed: the server is a child of the program that first needed it, and ends with that
//! program.
//!
//! # Use it
//!
//! With reqwest 0.13 and the feature `reqwest`:
//!
#![cfg_attr(feature = "reqwest", doc = "```no_run")]
#![cfg_attr(not(feature = "reqwest"), doc = "```ignore")]
//! use std::time::Duration;
//! use tower::{Layer, ServiceExt};
//! use tower_local_service::{BoxError, EnsureLocalServiceLayer, LocalService, LocalServiceConfig};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), BoxError> {
//!     let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
//!         .args(["--model", "/models/gemma.gguf", "--port", "8080"])
//!         .health_url("http://127.0.0.1:8080/health")
//!         .idle_stop(Duration::from_secs(300));
//!     let llama = LocalService::new("llama", "http://127.0.0.1:8080/v1", config)?;
//!
//!     let http = reqwest::Client::new();
//!     let client = EnsureLocalServiceLayer::new(llama).layer(http.clone());
//!
//!     let request = http.get("http://127.0.0.1:8080/v1/models").build()?;
//!     let response = client.clone().oneshot(request).await?; // starts llama-server if it is not running
//!     println!("{}", response.text().await?);
//!     Ok(())
//! }
//! ```
//!
//! `oneshot` consumes the client: clone it, which is cheap. hyper-util, and any other
//! `tower::Service<http::Request<_>>`, needs no feature.
//!
//! A layer is made with a [`Resolve`], which names the service that a request needs:
//!
//! - a [`LocalService`]: for the requests to the origin of its base URL. All others pass through, so that one
//!   client can talk to local and remote servers,
//! - [`LocalService::every_request`]: for every request, also of a type that has no URL,
//! - any `Fn(&Request) -> Option<LocalService>`: several services behind one client. Where it returns
//!   `None`, the request passes through,
//! - a [`Providers`](provider::Providers): all servers of a configuration file, each for the URLs under
//!   its base URL.
//!
//! # Learn more
//!
//! | chapter | what is in it |
//! |---|---|
//! | [clients](docs::clients) | reqwest, reqwest-middleware, hyper-util, async-openai, rig, axum; sending a request again |
//! | [lifecycle](docs::lifecycle) | what happens step by step, and what you can rely on |
//! | [configuration](docs::configuration), [files](docs::config_files) | each key, recipes for each server, files in the shape of OpenClaw's |
//! | [launching](docs::launching) | processes, commands that only start a server, launchers of your own; what ends with your program |
//! | [layer order](docs::layer_order) | timeouts, retries and limits: outside or inside |
//! | [errors](docs::errors) | what an error says, and what to do about it |
//! | [gateway](docs::gateway) | one address for all models of a file |
//! | [beyond one machine](docs::beyond_one_machine) | workloads of a Kubernetes cluster, scaled from zero and back |
//! | [sharing](docs::sharing), [several models](docs::several_models) | servers that already run, several programs, models that exclude each other |
//! | [leases](docs::leases) | by hand, for WebSockets and for jobs |
//! | [observability](docs::observability) | status, events, metrics, output, journal |
//! | [performance](docs::performance), [comparison](docs::comparison) | what it costs, and what else there is |
//! | [platforms](docs::platforms), [FAQ](docs::faq), [glossary](docs::glossary) | limits, questions, words |
//!
//! # Features
//!
//! None is on by default.
//!
//! - `reqwest`: requests and responses of reqwest 0.13.
//! - `reqwest-middleware`: `EnsureLocalServiceMiddleware`, for clients of reqwest-middleware 0.5. It enables
//!   `reqwest`.
//! - `json5`: `ProvidersConfig::from_json5` and `from_file`. Files in any other format of serde can be read
//!   without it.
//! - `metrics`: [counters, times and gauges](docs::observability#metrics) by the facade of the crate `metrics`.
//! - `docker`: `docker::Container`, containers of a Docker Engine, or of Podman, in the place of processes.
//! - `kubernetes`: `kubernetes::Workload`, [a Deployment or `StatefulSet` of a cluster](docs::beyond_one_machine), scaled from
//!   zero and back.
//! - `retry`: `retry::ServerGone`, a policy for Tower's `Retry`.
//! - `full`: all of them.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod amount;
mod config;
// The guide. It is rendered, and its code is tested with all features; it is not part of the crate.
#[cfg(any(
    all(doc, not(doctest)),
    all(
        doctest,
        feature = "json5",
        feature = "reqwest-middleware",
        feature = "retry"
    )
))]
pub mod docs;
mod error;
pub mod launch;
mod leases;
mod log;
mod machine;
mod middleware;
mod probe;
pub mod provider;
mod random;
mod resources;
mod secrets;
mod service;
mod short_name;
mod supervisor;

#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::EnsureLocalServiceMiddleware;
/// Containers in the place of processes.
#[cfg(feature = "docker")]
pub mod docker {
    pub use crate::launch::docker::Container;
}
/// Workloads of a Kubernetes cluster in the place of processes.
#[cfg(feature = "kubernetes")]
pub mod kubernetes {
    pub use crate::launch::kubernetes::Workload;
}
#[cfg(feature = "retry")]
pub use self::middleware::retry;
pub use self::{
    amount::{Amount, ParseAmountError},
    config::{LocalServiceConfig, ReadyRequest},
    error::{BoxError, Error, ErrorKind, Problem},
    launch::{Guarantees, InheritEnv, Launcher, OutputStream, Running},
    machine::{Ownership, Phase, Record},
    middleware::{
        ColdStart, EnsureLocalService, EnsureLocalServiceLayer, EnsureOn, EveryRequest, HoldLease,
        Resolve, body, future,
    },
    service::{
        Event, Events, Lease, Line, LocalService, Output, Registry, ResourceStatus, Status,
        StatusWatch,
    },
    supervisor::EventKind,
};

/// The code of the README is compiled, like that of this documentation.
#[cfg(all(
    doctest,
    feature = "json5",
    feature = "reqwest-middleware",
    feature = "retry"
))]
#[doc = include_str!("../README.md")]
#[derive(Debug)]
pub struct ReadmeDoctests;
