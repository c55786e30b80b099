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
    providers.map_err(|error| format!("{error:#}"))
}

/// Replaces the providers by those of another reading. A file that cannot work changes nothing.
pub(crate) fn reload(path: &Path, providers: &Providers) {
    match ProvidersConfig::from_file(path).and_then(|next| providers.reload(next)) {
        Ok(changes) => {
            info!(?changes.added, ?changes.changed, ?changes.removed, "configuration reloaded");
            log_warnings(providers);
        }
        Err(error) => warn!("the configuration stays as it was: {error}"),
    }
}

/// Starts what the file lists for that. It never ends.
pub(crate) async fn preload(providers: &Providers) {
    let services = providers.preload();
    let results = Registry::global().preload(&services).await;
    for (service, result) in services.iter().zip(results) {
        if let Err(error) = result {
            warn!("`{}` was not started ahead: {error}", service.name());
        }
    }
    std::future::pending::<()>().await;
}

/// All that is no reason to refuse the file, but should be known.
pub(crate) fn warnings(providers: &Providers) -> Vec<String> {
    let of_crate = providers.warnings().into_iter();
    let mut warnings: Vec<_> = of_crate.map(|it| it.to_string()).collect();
    warnings.extend(own_warnings(providers));
    warnings
}

/// The crate logs its warnings itself.
pub(crate) fn log_warnings(providers: &Providers) {
    for warning in own_warnings(providers) {
        warn!("{warning}");
    }
}

fn own_warnings(providers: &Providers) -> Vec<String> {
    let ids = providers.ids();
    if ids.is_empty() {
        return vec!["no provider is configured: write one under models.providers".to_owned()];
    }
    let known = ids.iter().filter_map(|id| providers.get(id));
    known.flat_map(|it| warnings_of(&it)).collect()
}

fn warnings_of(provider: &Provider) -> Vec<String> {
    let id = &provider.id;
    let mut warnings = Vec::new();
    if dialect::is_foreign(provider) {
        let api = provider.api.as_deref().unwrap_or_default();
        warnings.push(format!(
            "`{id}`: its api {api:?} is none that this gateway knows: requests go to it in the form in which \
             clients send them, OpenAI's or Anthropic's"
        ));
    }
    warnings
}
