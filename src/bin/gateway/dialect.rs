//! What a provider's `api` says of its paths.

use axum::http::{Uri, uri::PathAndQuery};
use tower_local_service::provider::Provider;

const ANTHROPIC: &str = "anthropic-messages";
const OLLAMA: &str = "ollama";

/// Whether its clients send the key as `x-api-key`.
pub(crate) fn is_anthropic(provider: &Provider) -> bool {
    provider.api.as_deref() == Some(ANTHROPIC)
}

/// Where a provider has a path of this gateway, which begins with `/v1`.
///
/// Base URLs for `OpenAI`'s API end in `/v1`, or whatever stands for it. Those for Anthropic's and Ollama's
/// are written without: it is a part of each path.
pub(crate) fn url(provider: &Provider, asked: &Uri) -> Option<Uri> {
    let asked = asked.path_and_query().map_or("", PathAndQuery::as_str);
    let rest = asked.strip_prefix("/v1")?;
    let base = provider.base_url.path().trim_end_matches('/');
    let is_without = matches!(provider.api.as_deref(), Some(ANTHROPIC | OLLAMA));
    let version = if is_without && !base.ends_with("/v1") {
        "/v1"
    } else {
        ""
    };
    let mut parts = provider.base_url.clone().into_parts();
    parts.path_and_query = Some(format!("{base}{version}{rest}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

/// An API that is not asked in the way in which clients ask this gateway.
pub(crate) fn is_foreign(provider: &Provider) -> bool {
    let api = provider.api.as_deref();
    api.is_some_and(|api| !matches!(api, ANTHROPIC | OLLAMA) && !api.starts_with("openai-"))
}
