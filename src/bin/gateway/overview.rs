//! What is configured, for the operator: at the start, and by `--check`.

use std::net::SocketAddr;

use axum::http::Uri;
use tower_local_service::provider::{Provider, Providers};

use crate::{keys::Keys, models};

/// A line for each provider and each alias, and one for the default model. No key, header or argument is in them.
pub(crate) fn lines(providers: &Providers) -> Vec<String> {
    let ids = providers.ids().into_iter();
    let known = ids.filter_map(|id| providers.get(&id));
    let mut lines: Vec<_> = known.map(|it| line(&it)).collect();
    let aliases = providers.aliases().into_iter();
    lines.extend(aliases.map(|(alias, model)| format!("`{alias}` is short for {model}")));
    lines.extend(providers.primary_model().map(|(provider, model)| {
        format!("requests without a model are for {}/{model}", provider.id)
    }));
    lines
}

fn line(provider: &Provider) -> String {
    let how = if provider.service.is_some() {
        "started on demand"
    } else {
        "not started here"
    };
    let models: Vec<_> = provider.models.iter().map(|it| &*it.id).collect();
    let models = match &models[..] {
        [] => "no models listed".to_owned(),
        models => format!("models {}", models.join(", ")),
    };
    let (id, url) = (&provider.id, address(&provider.base_url));
    format!("provider `{id}` at {url}, {how}: {models}")
}

/// Without the name and password that a URL may have.
pub(crate) fn address(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("http");
    let host = url.host().unwrap_or_default();
    let port = url.port().map(|it| format!(":{it}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", url.path())
}

/// A command that asks the default model, or the first that is listed. `None` if none is.
pub(crate) fn curl(
    providers: &Providers,
    listens: SocketAddr,
    keys: Option<&Keys>,
) -> Option<String> {
    let primary = providers.primary_model();
    let primary = primary.map(|(provider, model)| format!("{}/{model}", provider.id));
    let model = primary.or_else(|| models::names(providers).into_iter().next())?;
    let body = serde_json::json!({
        "model": model,
        "messages": [{ "role": "user", "content": "Hello" }],
    });
    let body = quoted(&body.to_string());
    let key = keys.map_or(String::new(), |keys| {
        let file = quoted(&keys.file().to_string_lossy());
        format!(" -H \"authorization: Bearer $(head -n 1 {file})\"")
    });
    let page = page(listens);
    Some(format!(
        "curl {page}v1/chat/completions -H 'content-type: application/json'{key} -d {body}"
    ))
}

/// Where the gateway is reached on this machine.
pub(crate) fn page(listens: SocketAddr) -> String {
    let mut reached = listens;
    if listens.ip().is_unspecified() {
        reached.set_ip([127, 0, 0, 1].into());
    }
    format!("http://{reached}/")
}

/// For a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
