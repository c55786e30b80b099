//! The configuration file, and another reading of it.

use std::{fs, path::Path};

use tower_local_service::{
    Registry,
    provider::{Provider, Providers, ProvidersConfig},
};
use tracing::{info, warn};

/// Reads the file, and starts nothing. An error is one sentence, with line and column if it is about
/// the syntax.
pub(crate) fn load(path: &Path) -> Result<Providers, String> {
    let providers = read(path)?;
    let providers = providers
        .register(&Registry::global())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    warn_of_what_cannot_work(&providers);
    Ok(providers)
}

/// Puts another reading in the place of the former. A file that cannot work changes nothing.
pub(crate) fn reload(path: &Path, providers: &Providers) {
    let reloaded = read(path).and_then(|next| {
        let changes = providers.reload(next);
        changes.map_err(|error| format!("{}: {error}", path.display()))
    });
    match reloaded {
        Ok(changes) => {
            info!(?changes.added, ?changes.changed, ?changes.removed, "configuration reloaded");
            warn_of_what_cannot_work(providers);
        }
        Err(mistake) => warn!("the configuration stays as it was: {mistake}"),
    }
}

/// Whether it can be sent to.
pub(crate) fn needs_tls(provider: &Provider) -> bool {
    provider.base_url.scheme_str() != Some("http")
}

fn read(path: &Path) -> Result<ProvidersConfig, String> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| format!("--config {shown} cannot be read ({error}): correct the path"))?;
    ProvidersConfig::from_json5(&text).map_err(|error| format!("{shown}: {error}"))
}

fn warn_of_what_cannot_work(providers: &Providers) {
    let ids = providers.ids();
    if ids.is_empty() {
        warn!("no provider is configured: write one under models.providers");
    }
    for provider in ids.iter().filter_map(|id| providers.get(id)) {
        if needs_tls(&provider) {
            warn!(
                provider = provider.id,
                "its baseUrl is https, and this example is built without TLS: requests for it are \
                 answered with 501"
            );
        }
    }
}
