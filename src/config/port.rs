//! `${port}` in a configuration: a port that the crate chooses.

use std::ffi::OsString;

use http::Uri;

use super::{Address, Identity, LocalServiceConfig, container::Container, kubernetes::Workload};
use crate::launch::Launch;

/// Stands for the port in `baseUrl`, and then in `healthUrl`, `args`, `env` and `stopCommand` as well.
const PLACEHOLDER: &str = "${port}";

/// Chooses a port for what is written, where the second argument says which identity a port would make of it.
pub(crate) type ChoosePort<'a> = &'a dyn Fn(&Identity, &dyn Fn(u16) -> Identity) -> u16;

/// The configuration and the base URL with the port; `None` if the base URL leaves no port open.
pub(super) fn fill(
    config: &LocalServiceConfig,
    base_url: &str,
    choose: ChoosePort<'_>,
) -> Option<(LocalServiceConfig, String)> {
    if !base_url.contains(PLACEHOLDER) {
        return None;
    }
    let at = |port: u16| {
        let (config, base_url) = with_port(config, base_url, port);
        let health = config.health_url.as_deref().unwrap_or(&base_url);
        let mut addresses: Vec<_> = [base_url.as_str(), health]
            .into_iter()
            .filter_map(|url| Address::of(&url.trim().parse::<Uri>().ok()?))
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        Identity::new(config.launch_identity(), addresses)
    };
    // The same whatever the port is.
    let hosts = at(1).addresses.into_iter();
    let addresses = hosts.map(|it| Address { port: 0, ..it }).collect();
    let written = Identity::new(config.launch_identity(), addresses);
    Some(with_port(config, base_url, choose(&written, &at)))
}

fn with_port(
    config: &LocalServiceConfig,
    base_url: &str,
    port: u16,
) -> (LocalServiceConfig, String) {
    let mut config = config.clone();
    let text = |text: &str| text.replace(PLACEHOLDER, &port.to_string());
    config.health_url = config.health_url.as_deref().map(text);
    let Launch { args, env, .. } = &mut config.launch;
    let stop = config.stop_command.iter_mut().flatten();
    for value in args.iter_mut().chain(env.values_mut()).chain(stop) {
        *value = replace(std::mem::take(value), port);
    }
    let container = config.container.iter_mut().flat_map(Container::strings);
    let workload = config.kubernetes.iter_mut().flat_map(Workload::strings);
    for (_, value) in container.chain(workload) {
        *value = text(value);
    }
    (config, text(base_url))
}

fn replace(value: OsString, port: u16) -> OsString {
    match value.into_string() {
        Ok(text) => text.replace(PLACEHOLDER, &port.to_string()).into(),
        Err(value) => replace_in_bytes(value, port),
    }
}

/// Paths are arguments, too: they need not be UTF-8.
#[cfg(unix)]
fn replace_in_bytes(value: OsString, port: u16) -> OsString {
    use std::os::unix::ffi::OsStringExt as _;

    let mut bytes = value.into_vec();
    let placeholder = PLACEHOLDER.as_bytes();
    let found = |bytes: &[u8]| {
        let mut windows = bytes.windows(placeholder.len());
        windows.position(|it| it == placeholder)
    };
    while let Some(at) = found(&bytes) {
        let digits = port.to_string().into_bytes();
        bytes.splice(at..at + placeholder.len(), digits);
    }
    OsString::from_vec(bytes)
}

/// What is not Unicode stays as it is.
#[cfg(not(unix))]
fn replace_in_bytes(value: OsString, _: u16) -> OsString {
    value
}
