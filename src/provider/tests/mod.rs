//! Files without any process: what is read, what is refused, what a URL and a model resolve to.
#![expect(
    clippy::needless_pass_by_value,
    reason = "values of `json!`, as they come"
)]

#[cfg(feature = "json5")]
mod malformed;
mod parsing;
mod problems;
mod reloading;
mod resolution;
mod schema;
mod unavailable;

use serde_json::{Value, json};

use super::*;
use crate::{config::LocalServiceConfig, error::ErrorKind};

/// Of an environment of its own.
fn lookup(name: &str) -> Option<String> {
    match name {
        "PORT" => Some("9300".to_owned()),
        "KEY" => Some("sk-from-env".to_owned()),
        "BIN" => Some("/opt/bin".to_owned()),
        _ => None,
    }
}

fn file(value: Value) -> ProvidersConfig {
    serde_json::from_value(value).unwrap()
}

fn providers(providers: Value) -> ProvidersConfig {
    file(json!({ "models": { "providers": providers } }))
}

fn register(config: ProvidersConfig, registry: &Registry) -> Result<Providers, Error> {
    let capacities = Capacities::default();
    let plan = Plan::of(config, &lookup, &capacities)?;
    Providers::new(plan, registry, capacities)
}

fn try_registered(config: ProvidersConfig) -> Result<Providers, Error> {
    register(config, &Registry::new())
}

fn registered(value: Value) -> Providers {
    try_registered(providers(value)).unwrap()
}

fn reload(handle: &Providers, value: Value) -> Changes {
    let plan = Plan::of(providers(value), &lookup, &Capacities::default()).unwrap();
    handle.replace(plan).unwrap()
}

fn local(port: u16) -> Value {
    json!({
        "baseUrl": format!("http://127.0.0.1:{port}/v1"),
        "localService": { "command": "/bin/false" },
    })
}

/// The arguments with which the service of a provider is started.
fn args_of(service: &LocalService) -> Vec<String> {
    let identity = service.settings().launcher.identity();
    identity.words().skip(1).map(str::to_owned).collect()
}

/// Whether the service is started as that is: with the same command, arguments, folder and variables.
fn is_started_as(service: &LocalService, config: &LocalServiceConfig) -> bool {
    let settings = config
        .validate("expected", "http://127.0.0.1:1/v1")
        .unwrap();
    service.settings().launcher.identity() == settings.launcher.identity()
}

/// The name of the service that a request for the URL needs.
fn service_for(providers: &Providers, url: &str) -> Option<String> {
    let request = http::Request::get(url).body(()).unwrap();
    let service = providers.resolve(&request)?;
    Some(service.name().to_owned())
}

/// Provider and field of each problem, and all of the text.
fn refused(value: Value) -> (Vec<(String, String)>, String) {
    let error = try_registered(providers(value)).unwrap_err();
    let ErrorKind::InvalidConfig { problems } = error.kind() else {
        panic!("another kind: {error}");
    };
    let places = problems
        .iter()
        .map(|it| (it.service.clone(), it.field.clone()));
    (places.collect(), format!("{error} {error:?} {error:#?}"))
}

#[cfg(feature = "json5")]
fn sample_files() -> Vec<std::path::PathBuf> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/config");
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let files: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|it| it == "json5"))
        .collect();
    assert_eq!(files.len(), 12);
    // One for each is refused without its feature.
    let is_built = |path: &std::path::PathBuf| {
        (cfg!(feature = "docker") || !path.ends_with("docker.json5"))
            && (cfg!(feature = "kubernetes") || !path.ends_with("kubernetes.json5"))
    };
    files.into_iter().filter(is_built).collect()
}
