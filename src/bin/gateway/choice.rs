//! Which provider a request is for.

use tower_local_service::provider::{Provider, Providers};

use axum::http::StatusCode;

use crate::{failure::Failure, models};

/// How many characters of a name a message quotes.
const SHOWN: usize = 100;

/// The provider of that model, or of the default one, and the provider's name for it.
pub(crate) fn choose(
    providers: &Providers,
    model: Option<&str>,
) -> Result<(Provider, String), Failure> {
    match model {
        Some(model) => providers
            .resolve_model(model)
            .map_or_else(|| choose_bare(providers, model), Ok),
        None => providers.primary_model().ok_or_else(|| {
            Failure::invalid(format!(
                "the body names no `model`, and agents.defaults.model of the configuration names none \
                 of a provider: write PROVIDER/MODEL with one of the providers {}",
                providers.ids().join(", ")
            ))
        }),
    }
}

/// A model without its provider, where one provider alone lists it.
fn choose_bare(providers: &Providers, model: &str) -> Result<(Provider, String), Failure> {
    let meant = models::full_names(providers, model);
    if let [one] = &meant[..]
        && let Some(chosen) = providers.resolve_model(one)
    {
        return Ok(chosen);
    }
    let shown: String = model.chars().take(SHOWN).collect();
    if meant.len() > 1 {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "ambiguous_model",
            format!(
                "several providers list the model {shown:?}: write one of {}",
                meant.join(", ")
            ),
        ));
    }
    Err(Failure::no_such_model(format!(
        "no provider has the model {shown:?}: write PROVIDER/MODEL with one of the providers {}, or look at GET \
         /v1/models",
        providers.ids().join(", ")
    )))
}
