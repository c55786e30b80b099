//! The configuration file: read at the start, and again on SIGHUP.

use std::path::Path;

use tower_local_service::{
    Registry,
    provider::{Provider, Providers, ProvidersConfig},
};
use tracing::{info, warn};

use crate::dialect;

/// Reads the file, and starts nothing.
///
/// # Errors
///
/// What is wrong with it, with line and column if it is the syntax.
pub(crate) fn load(path: &Path) -> Result<Providers, String> {
    let config = ProvidersConfig::from_file(path);
    let providers = config.and_then(|config| config.register(&Registry::global()));
    let providers = providers.map_err(|error| format!("{error:#}"))?;
    warn_of_what_cannot_work(&providers);
    Ok(providers)
}

/// Replaces the providers by those of another reading. A file that cannot work changes nothing.
pub(crate) fn reload(path: &Path, providers: &Providers) {
    match ProvidersConfig::from_file(path).and_then(|next| providers.reload(next)) {
        Ok(changes) => {
            info!(?changes.added, ?changes.changed, ?changes.removed, "configuration reloaded");
            warn_of_what_cannot_work(providers);
        }
        Err(error) => warn!("the configuration stays as it was: {error}"),
    }
}

/// Whether requests to it need TLS.
pub(crate) fn needs_tls(provider: &Provider) -> bool {
    provider.base_url.scheme_str() != Some("http")
}

fn warn_of_what_cannot_work(providers: &Providers) {
    let ids = providers.ids();
    if ids.is_empty() {
        warn!("no provider is configured: write one under models.providers");
    }
    for provider in ids.iter().filter_map(|id| providers.get(id)) {
        if provider.unavailable.is_none() && needs_tls(&provider) {
            warn!(
                provider = provider.id,
                "its baseUrl is https, and this gateway is built without TLS: requests for it are \
                 answered with 501"
            );
        }
        if dialect::is_foreign(&provider) {
            warn!(
                provider = provider.id,
                api = provider.api,
                "its api is none that this gateway knows: requests go to it in the form in which clients \
                 send them, OpenAI's or Anthropic's"
            );
        }
    }
}
