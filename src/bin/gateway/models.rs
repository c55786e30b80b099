//! `GET /v1/models`: what the configuration lists, and what of it is loaded.

use axum::{
    Json,
    extract::{Path, State},
};
use serde_json::{Value, json};
use tower_local_service::{Phase, provider::Providers};

use crate::{failure::Failure, state::Gateway};

pub(crate) async fn list(State(gateway): State<Gateway>) -> Json<Value> {
    Json(json!({ "object": "list", "data": all(&gateway) }))
}

pub(crate) async fn one(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let models = all(&gateway);
    let find = |id: &str| models.iter().find(|model| model["id"] == id).cloned();
    let model = find(&id).or_else(|| match &full_names(&gateway.providers, &id)[..] {
        [one] => find(one),
        _ => None,
    });
    model.map(Json).ok_or_else(|| {
        Failure::no_such_model("no such model is listed: look at GET /v1/models for those that are")
    })
}

/// Each as a client names it.
pub(crate) fn names(providers: &Providers) -> Vec<String> {
    let known = known(providers).into_iter();
    known
        .map(|(provider, model)| format!("{provider}/{model}"))
        .collect()
}

/// What a client may mean that names a model without its provider.
pub(crate) fn full_names(providers: &Providers, name: &str) -> Vec<String> {
    let known = known(providers).into_iter();
    let meant = known.filter(|(_, model)| model == name.trim());
    let mut names: Vec<_> = meant
        .map(|(provider, model)| format!("{provider}/{model}"))
        .collect();
    // A file may list one twice.
    names.dedup();
    names
}

fn all(gateway: &Gateway) -> Vec<Value> {
    let names = names(&gateway.providers).into_iter();
    let aliases = gateway.providers.aliases().into_iter();
    let models = names.map(|name| (name, None));
    let aliases = aliases.map(|(alias, model)| (alias, Some(model)));
    let described = models
        .chain(aliases)
        .filter_map(|(id, root)| describe(gateway, &id, root.as_deref()));
    described.collect()
}

/// `root` is what an alias stands for. `None` for an alias of nothing.
fn describe(gateway: &Gateway, id: &str, root: Option<&str>) -> Option<Value> {
    let (provider, _) = gateway.providers.resolve_model(id)?;
    let mut model = json!({
        "id": id,
        "object": "model",
        "created": gateway.started,
        "owned_by": provider.id,
    });
    if let Some(root) = root {
        model["root"] = json!(root);
    }
    if let Some(service) = provider.service {
        model["status"] = state(service.status().phase);
    }
    Some(model)
}

/// In the words of llama-server's router.
fn state(phase: Phase) -> Value {
    match phase {
        Phase::Ready => json!({ "value": "loaded" }),
        Phase::Starting => json!({ "value": "loading" }),
        Phase::Failed => json!({ "value": "unloaded", "failed": true }),
        _ => json!({ "value": "unloaded" }),
    }
}

/// Providers and their models, without asking the servers: they would have to be started for that.
fn known(providers: &Providers) -> Vec<(String, String)> {
    let known = providers.ids();
    let known = known.iter().filter_map(|id| providers.get(id));
    let mut models: Vec<_> = known
        .flat_map(|provider| {
            let id = provider.id;
            let models = provider.models.into_iter();
            models.map(move |model| (id.clone(), model.id))
        })
        .collect();
    // It can be used even if its provider does not list it.
    let primary = providers.primary_model();
    let primary = primary.map(|(provider, model)| (provider.id, model));
    models.extend(primary.filter(|it| !models.contains(it)));
    models
}
