//! A configuration file as it is written: the keys of `OpenClaw`'s that are read. Others are skipped.
//!
//! Editors show the comments of the fields, by the schema in `examples/config`.

use std::fmt;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};

use crate::config::{LocalServiceConfig, Unique};

/// A configuration file in the shape of `OpenClaw`'s: providers of models, and the local servers behind
/// them. Other keys of `OpenClaw`'s are skipped.
///
/// It is data: deserialize it from any format of serde, or with the feature `json5` by
/// `ProvidersConfig::from_json5`, then [`register`](Self::register) it. `Debug` shows the ids only.
#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `models` and `agents`")]
#[cfg_attr(
    test,
    derive(JsonSchema),
    schemars(
        title = "Providers of models",
        description = "Providers of models, and the local servers behind them, in the shape of \
                       `OpenClaw`'s configuration. Keys of `OpenClaw`'s that are not named here are \
                       skipped."
    )
)]
pub struct ProvidersConfig {
    // `models.mode` has no meaning here: there is no built-in catalog to merge with or to replace.
    pub(super) models: Models,
    pub(super) agents: Agents,
}

impl ProvidersConfig {
    /// All but those that `OpenClaw` has built in, for which a file need not have a URL.
    pub(super) fn providers(self) -> impl Iterator<Item = (String, WrittenProvider)> {
        let all = self.models.providers.0.into_iter();
        all.filter(|(_, it)| it.has_base_url() || it.local_service.is_some())
    }
}

impl fmt::Debug for ProvidersConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The rest has secrets.
        let ids: Vec<_> = self.models.providers.0.keys().collect();
        f.debug_struct("ProvidersConfig")
            .field("ids", &ids)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `providers`")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Models {
    /// The providers by their ids, which are free to choose: what a model's name begins with.
    pub(super) providers: Unique<WrittenProvider>,
}

/// One provider of models: an API somewhere, with or without a local server behind it.
///
/// In every string `${VAR}` is a variable of the environment, and `$${VAR}` is the text `${VAR}`.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "a provider")]
#[cfg_attr(
    test,
    derive(JsonSchema),
    schemars(
        rename = "Provider",
        extend("dependencies" = { "localService": ["baseUrl"] })
    )
)]
pub(super) struct WrittenProvider {
    /// Where its API begins, such as `http://127.0.0.1:8080/v1`. Without it the provider is one that
    /// `OpenClaw` has built in, and is skipped.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) base_url: Option<String>,
    /// The key that requests to it need.
    pub(super) api_key: Option<Secret>,
    /// The name of its API, such as `openai-completions`.
    pub(super) api: Option<String>,
    /// How long a response may take to its head, a cold start included, and then each gap in its
    /// body, in seconds. `readyTimeoutMs` and two minutes if left out.
    #[cfg_attr(test, schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000)))]
    pub(super) timeout_seconds: Option<f64>,
    /// Headers that requests to it need.
    pub(super) headers: Unique<Secret>,
    /// The server to start for a request to this provider, and to stop when it is idle. Unknown keys
    /// are refused.
    pub(super) local_service: Option<LocalServiceConfig>,
    /// The models that it serves. It may serve others.
    pub(super) models: Vec<Model>,
}

impl WrittenProvider {
    pub(super) fn has_base_url(&self) -> bool {
        let base_url = self.base_url.as_deref();
        base_url.is_some_and(|it| !it.trim().is_empty())
    }
}

/// A key or the value of a header, or where to find it.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) enum Secret {
    /// The value itself, or `${VAR}`.
    Text(String),
    /// The variable of the environment that has it.
    From(Source),
    // So that serde does not quote it in an error: it may be the secret, without its quotes.
    #[cfg_attr(test, schemars(skip))]
    Other(IgnoredAny),
}

#[derive(Clone, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Source {
    /// The only one of `OpenClaw`'s sources that is supported.
    #[cfg_attr(test, schemars(extend("const" = "env")))]
    pub(super) source: String,
    /// The name of the variable.
    pub(super) id: String,
}

/// A model that a provider lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[non_exhaustive]
pub struct Model {
    /// Its name in requests.
    pub id: String,
    /// Its name for people.
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `defaults`")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Agents {
    pub(super) defaults: Defaults,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `model`")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Defaults {
    /// The model of requests that name none: the id of a provider, a slash, and the provider's name for
    /// the model.
    pub(super) model: Option<ModelChoice>,
}

#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "`agents.defaults.model` is neither a string nor an object with `primary`"
)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) enum ModelChoice {
    Id(String),
    Choice { primary: Option<String> },
}

impl ModelChoice {
    pub(super) fn primary(self) -> Option<String> {
        match self {
            Self::Id(id) => Some(id),
            Self::Choice { primary } => primary,
        }
    }
}
