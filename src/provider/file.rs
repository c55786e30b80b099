//! A configuration file as it is written: what of `OpenClaw`'s shape is ours. Other keys are skipped.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};

use crate::LocalServiceConfig;

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `models` and `agents`")]
pub(super) struct File {
    // There is no catalog of ours to merge with or replace: `models.mode` is without meaning.
    pub(super) models: Models,
    pub(super) agents: Agents,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `providers`")]
pub(super) struct Models {
    pub(super) providers: BTreeMap<String, WrittenProvider>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", expecting = "a provider")]
pub(super) struct WrittenProvider {
    pub(super) base_url: Option<String>,
    pub(super) api_key: Option<Secret>,
    pub(super) api: Option<String>,
    pub(super) timeout_seconds: Option<f64>,
    pub(super) headers: BTreeMap<String, Secret>,
    pub(super) local_service: Option<LocalServiceConfig>,
    pub(super) models: Vec<Model>,
}

/// A key or header value, or where one is to be found.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Secret {
    Text(String),
    From(Source),
    // Not quoted in an error by serde: it may be the secret, without its quotes.
    Other(IgnoredAny),
}

#[derive(Clone, Deserialize)]
pub(super) struct Source {
    pub(super) source: String,
    pub(super) id: String,
}

/// A model that a provider lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Model {
    /// What requests call it.
    pub id: String,
    /// What people call it.
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `defaults`")]
pub(super) struct Agents {
    pub(super) defaults: Defaults,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default, expecting = "an object with `model`")]
pub(super) struct Defaults {
    pub(super) model: Option<ModelChoice>,
}

#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "`agents.defaults.model` is neither a string nor an object with `primary`"
)]
pub(super) enum ModelChoice {
    Id(String),
    Choice { primary: Option<String> },
}

impl ModelChoice {
    pub(super) fn primary(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Choice { primary } => primary.as_deref(),
        }
    }
}
