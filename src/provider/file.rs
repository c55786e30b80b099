//! A configuration file as it is written: the keys of `OpenClaw`'s that are read. Others are skipped.
//!
//! Editors show the comments of the fields, by the schema in `examples/config`.

use std::{collections::BTreeMap, fmt};

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::variables::Variables;
use crate::{
    amount::Amount,
    config::{LocalServiceConfig, Unique},
    error::Problem,
};

/// A configuration file in the shape of `OpenClaw`'s: providers of models, and the local servers behind
/// them. Other keys of `OpenClaw`'s are skipped.
///
/// It is data: deserialize it from any format of serde, or with the feature `json5` by
/// `ProvidersConfig::from_json5`, then [`register`](Self::register) it. `Debug` shows the ids only.
/// # Example
///
/// With a parser of serde that your program has already:
///
/// ```
/// use tower_local_service::{Registry, provider::ProvidersConfig};
///
/// let text = r#"{ "models": { "providers": {
///   "far": { "baseUrl": "https://api.example.com/v1" }
/// } } }"#;
/// let config: ProvidersConfig = serde_json::from_str(text)?;
/// let providers = config.register(&Registry::new())?;
/// assert_eq!(providers.ids(), ["far"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
    #[serde(deserialize_with = "or_default")]
    pub(super) models: Models,
    #[serde(deserialize_with = "or_default")]
    pub(super) agents: Agents,
    /// Variables for the strings of this file and for its local servers, where the environment has none
    /// of that name: in `vars`, or directly.
    #[serde(deserialize_with = "or_default")]
    #[cfg_attr(test, schemars(with = "BTreeMap<String, serde_json::Value>"))]
    pub(super) env: BTreeMap<String, EnvEntry>,
    #[serde(skip)]
    pub(super) read: Read,
}

/// What is known of the text that a configuration was read from, and of your program.
#[derive(Clone, Default)]
pub(super) struct Read {
    /// The name of the file.
    pub(super) file: Option<String>,
    /// Keys that are skipped, but look like misspelt ones.
    pub(super) misspelt: Vec<Problem>,
    /// Those of the process if `None`.
    pub(super) variables: Option<Variables>,
}

/// What is written for one key of `env`.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum EnvEntry {
    Value(String),
    Group(BTreeMap<String, EnvValue>),
    // So that serde does not quote it: it may be a secret.
    Other(IgnoredAny),
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum EnvValue {
    Value(String),
    Other(IgnoredAny),
}

/// `null`, as programs write it that leave nothing out, is a key that is left out.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl ProvidersConfig {
    /// All but those that `OpenClaw` has built in, for which a file need not have a URL.
    pub(super) fn providers(self) -> impl Iterator<Item = (String, WrittenProvider)> {
        let all = self.models.providers.0.into_iter();
        all.filter(|(_, it)| it.base_url().is_some() || it.local_service.is_some())
    }

    /// The variables in its `env`. Of two with one name, that outside of `vars` counts, as in `OpenClaw`.
    pub(super) fn take_variables(&mut self) -> BTreeMap<String, String> {
        let mut direct = BTreeMap::new();
        let mut variables = BTreeMap::new();
        for (name, entry) in std::mem::take(&mut self.env) {
            match entry {
                EnvEntry::Value(value) => drop(direct.insert(name, value)),
                EnvEntry::Group(group) if name == "vars" => {
                    variables.extend(group.into_iter().filter_map(|(name, value)| match value {
                        EnvValue::Value(value) => Some((name, value)),
                        EnvValue::Other(_) => None,
                    }));
                }
                EnvEntry::Group(_) | EnvEntry::Other(_) => {}
            }
        }
        variables.extend(direct);
        variables.retain(|name, value| is_name(name) && !value.trim().is_empty());
        variables
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

/// Whether a variable can have this name.
fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|it| it.is_ascii_alphabetic() || it == '_')
        && letters.all(|it| it.is_ascii_alphanumeric() || it == '_')
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `providers`")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Models {
    /// The providers by their ids, which are free to choose: what a model's name begins with.
    #[serde(deserialize_with = "or_default")]
    pub(super) providers: Unique<WrittenProvider>,
    /// How much there is of each resource that local services `need`, such as memory of a GPU: bytes, a
    /// number, or a text such as `24GB` or `24GiB`. `OpenClaw` does not know it.
    #[serde(deserialize_with = "or_default")]
    pub(super) resources: Unique<Amount>,
    /// The ids of providers whose servers are started ahead, as far as there is room, in this order. `OpenClaw` does
    /// not know it.
    #[serde(deserialize_with = "or_default")]
    pub(super) preload: Vec<String>,
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
    /// Where its API begins, such as `http://127.0.0.1:8080/v1`. In that of a local server, `${port}` is a port
    /// that is chosen for it, the same in every program; it may be in `healthUrl`, `args` and `env`, too. Without it the provider is one that
    /// `OpenClaw` has built in, and is skipped.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) base_url: Option<String>,
    #[serde(rename = "baseURL")]
    #[cfg_attr(test, schemars(skip))]
    pub(super) misspelt_base_url: Option<String>,
    /// The key that requests to it need.
    pub(super) api_key: Option<Secret>,
    /// The name of its API, such as `openai-completions`.
    pub(super) api: Option<String>,
    /// How long a response may take to its head, a cold start included, and then each gap in its
    /// body, in seconds. `readyTimeoutMs` and two minutes if left out.
    #[cfg_attr(test, schemars(extend("exclusiveMinimum" = 0, "maximum" = 31_536_000)))]
    pub(super) timeout_seconds: Option<f64>,
    /// Headers that requests to it need.
    #[serde(deserialize_with = "or_default")]
    pub(super) headers: Unique<Secret>,
    /// What else requests to it need.
    #[serde(deserialize_with = "or_default")]
    pub(super) request: Request,
    /// The server to start for a request to this provider, and to stop when it is idle. Unknown keys
    /// are refused.
    pub(super) local_service: Option<LocalServiceConfig>,
    /// The models that it serves. It may serve others.
    #[serde(deserialize_with = "or_default")]
    pub(super) models: Vec<WrittenModel>,
}

impl WrittenProvider {
    pub(super) fn base_url(&self) -> Option<&str> {
        let spellings = [&self.base_url, &self.misspelt_base_url];
        let mut written = spellings.into_iter().filter_map(Option::as_deref);
        written.find(|it| !it.trim().is_empty())
    }
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `headers` and `auth`")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Request {
    /// Headers that requests to it need. They win over those in `headers` of the provider.
    #[serde(deserialize_with = "or_default")]
    pub(super) headers: Unique<Secret>,
    /// How requests to it show who sends them, instead of by `apiKey`.
    pub(super) auth: Option<Auth>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "an object with `mode`")]
#[cfg_attr(test, derive(JsonSchema), schemars(extend("required" = ["mode"])))]
pub(super) struct Auth {
    /// `provider-default` (by `apiKey`), `authorization-bearer` (by `token`), or `header` (by
    /// `headerName`, `prefix` and `value`).
    #[cfg_attr(test, schemars(extend(
        "enum" = ["provider-default", "authorization-bearer", "header"]
    )))]
    pub(super) mode: String,
    /// The key, in the place of `apiKey`.
    pub(super) token: Option<Secret>,
    /// The name of the header.
    pub(super) header_name: Option<String>,
    /// The value of the header.
    pub(super) value: Option<Secret>,
    /// What comes before the value.
    pub(super) prefix: Option<String>,
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
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", rename = "Model")]
#[cfg_attr(test, derive(JsonSchema), schemars(rename = "Model"))]
pub(super) struct WrittenModel {
    /// Its name in requests.
    pub(super) id: String,
    /// Its name for people.
    #[serde(default)]
    pub(super) name: Option<String>,
    /// Where the API of this model begins, if that is elsewhere than that of its provider.
    #[serde(default)]
    pub(super) base_url: Option<String>,
    /// The name of its API, if that is another one than that of its provider.
    #[serde(default)]
    pub(super) api: Option<String>,
    /// Headers that requests to it need. They win over those of its provider.
    #[serde(default, deserialize_with = "or_default")]
    pub(super) headers: Unique<Secret>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `defaults`")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Agents {
    #[serde(deserialize_with = "or_default")]
    pub(super) defaults: Defaults,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `model`")]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Defaults {
    /// The model of requests that name none: the id of a provider, a slash, and the provider's name for
    /// the model.
    pub(super) model: Option<ModelChoice>,
    /// Short names of models, by the names that begin with the id of a provider: `{ "llama/gemma": { alias: "gemma" } }`.
    #[serde(deserialize_with = "or_default")]
    #[cfg_attr(test, schemars(with = "BTreeMap<String, Preference>"))]
    pub(super) models: BTreeMap<String, WrittenPreference>,
}

/// What is written for a model that agents use.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum WrittenPreference {
    Of(Preference),
    Other(IgnoredAny),
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(JsonSchema))]
pub(super) struct Preference {
    /// Another name for the model, which requests may have, too.
    pub(super) alias: Option<String>,
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
