//! Configuration files, in the shape of `OpenClaw`'s: providers of models, and the servers behind them.
//!
//! [`Providers`] reads one and resolves requests to the services in it, by the URLs they are for. One
//! layer serves them all, and follows [`reload`](Providers::reload):
//!
//! ```
//! # #[cfg(feature = "json5")] {
//! use tower_local_service::{EnsureLocalServiceLayer, Registry, provider::Providers};
//!
//! let text = r#"{
//!   models: {
//!     providers: {
//!       llama: {
//!         baseUrl: "http://127.0.0.1:8080/v1",
//!         api: "openai-completions",
//!         localService: {
//!           command: "/usr/local/bin/llama-server",
//!           args: ["--model", "/models/gemma.gguf", "--port", "8080"],
//!           healthUrl: "http://127.0.0.1:8080/health",
//!           idleStopMs: 300000,
//!         },
//!         models: [{ id: "gemma" }],
//!       },
//!     },
//!   },
//!   agents: { defaults: { model: { primary: "llama/gemma" } } },
//! }"#;
//! let providers = Providers::from_json5(text)?.register(&Registry::global())?;
//! let layer = EnsureLocalServiceLayer::new(providers.clone());
//!
//! let (provider, model) = providers.primary_model().expect("the file names one");
//! assert_eq!((provider.id.as_str(), model.as_str()), ("llama", "gemma"));
//! # drop(layer);
//! # }
//! # Ok::<(), tower_local_service::Error>(())
//! ```
//!
//! # What is read, skipped and refused
//!
//! *Read* are `models.providers.<id>` with `baseUrl`, `apiKey`, `api`, `timeoutSeconds`, `headers`,
//! `models[]` and `localService` (a [`LocalServiceConfig`](crate::LocalServiceConfig)), and
//! `agents.defaults.model`, a string or `{ primary }`.
//!
//! In every string that is read, `${VAR}` (capitals, digits, `_`) is a variable of the host's
//! environment, and `$${VAR}` is not. Keys and headers may be `{ source: "env", id: "VAR" }`, too.
//!
//! *Skipped* are all other keys, so that a file of `OpenClaw`'s can be read as it is; its `$include` is
//! not followed. So is a provider with neither `baseUrl` nor `localService`: one that `OpenClaw` has
//! built in.
//!
//! *Refused* are an unknown key in `localService`, as it is likely a slip; a variable that is unset or
//! empty; a key or header from another source than the environment; a key of those above, or a
//! provider, that is there twice; and what cannot work. `OpenClaw` in turn refuses the keys of
//! `localService` that it lacks: all but `command`, `args`, `cwd`, `env`, `healthUrl`,
//! `readyTimeoutMs` and `idleStopMs`.
//!
//! # Which provider a request is for
//!
//! That with the longest `baseUrl` that the request's URL begins with: scheme, host (`localhost`,
//! 127.0.0.1 and `[::1]` are one), port and whole segments of the path. Requests to none of them, or to
//! one without `localService`, pass through untouched. If two providers have the same `baseUrl`, its
//! requests are for the first by its id that has a `localService`: take the
//! [`service`](Provider::service) of [`resolve_model`](Providers::resolve_model) where the model is to
//! decide.

mod data;
mod file;
#[cfg(feature = "json5")]
mod json5;
mod plan;
#[cfg(feature = "reqwest")]
mod reqwest;
mod routes;
mod table;
#[cfg(test)]
mod tests;
mod variables;

use std::{
    env, fmt,
    sync::{Arc, PoisonError, RwLock},
};

use http::Uri;
use serde::{Deserialize, Deserializer};

pub use self::data::{Changes, Model, Provider};
use self::{file::File, plan::Plan, table::Table, variables::Lookup};
use crate::{
    error::{Error, ErrorKind, Problem},
    middleware::Resolve,
    service::{LocalService, Registry},
};

/// What errors about a whole file are about.
const FILE: &str = "models.providers";

/// The providers of a configuration file: a handle that is cheap to clone, and a
/// [`Resolve`] for a layer.
///
/// All clones see what [`register`](Self::register) and [`reload`](Self::reload) do to one of them. To
/// read one touches neither the file system nor the environment; before `register` nothing is
/// resolved, and each request passes through.
#[derive(Clone)]
pub struct Providers {
    shared: Arc<RwLock<State>>,
}

struct State {
    file: Arc<File>,
    /// `None` until registered.
    registry: Option<Registry>,
    table: Arc<Table>,
}

impl From<File> for Providers {
    fn from(file: File) -> Self {
        let state = State {
            file: Arc::new(file),
            registry: None,
            table: Arc::default(),
        };
        Self {
            shared: Arc::new(RwLock::new(state)),
        }
    }
}

impl<'de> Deserialize<'de> for Providers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        File::deserialize(deserializer).map(Self::from)
    }
}

impl Providers {
    /// Puts in the values of the environment, checks all of it, and makes a service of each
    /// `localService`, named as its provider. Nothing is started yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) with all problems of the file at once, each with the
    /// provider, the field and the remedy; [`ShutDown`](ErrorKind::ShutDown) if the registry is. Nothing
    /// has changed then.
    pub fn register(self, registry: &Registry) -> Result<Self, Error> {
        let file = self.state().file.clone();
        self.put(file, Some(registry), &variable)?;
        Ok(self)
    }

    /// Puts what another reading of the file says in the place of what was there, for all clones of
    /// this handle and so for the layers that hold them.
    ///
    /// - A service stays as it is, process and all, if neither its `localService` nor `baseUrl` nor
    ///   `apiKey` has changed. So does its process if only times and probes have.
    /// - What is new counts at once, for all requests that come from then on.
    /// - A service that has changed or is gone retires without anybody waiting for it: its process is
    ///   stopped when the last response has ended. A request that was on its way to it is served
    ///   still, if need be by a start of its own. A [`Provider`] or service that somebody has kept goes
    ///   on to work, too.
    ///
    /// No request is lost by it. `providers` itself is used up; give it unregistered.
    ///
    /// # Errors
    ///
    /// As [`register`](Self::register), and [`InvalidConfig`](ErrorKind::InvalidConfig) if this handle
    /// was never registered. What was there stays in force.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a reading is used up, so that nobody registers it, too"
    )]
    pub fn reload(&self, providers: Self) -> Result<Changes, Error> {
        let file = providers.state().file.clone();
        self.put(file, None, &variable)
    }

    /// The provider with this id; `None` before [`register`](Self::register).
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Provider> {
        let table = self.table();
        table.providers.get(id).map(|it| it.provider.clone())
    }

    /// The ids of all providers, sorted; of what is written, before [`register`](Self::register).
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let state = self.state();
        state.file.providers().map(|(id, _)| id.clone()).collect()
    }

    /// The provider of a model, and what that calls it: `inferrs/google/gemma` is `google/gemma` of the
    /// provider `inferrs`, whether or not that lists it. `None` if there is no such provider. Ids may
    /// have slashes, too: the longest one that fits wins.
    #[must_use]
    pub fn resolve_model(&self, model: &str) -> Option<(Provider, String)> {
        self.table().resolve_model(model)
    }

    /// The same for `agents.defaults.model`; `None` if the file has none.
    #[must_use]
    pub fn primary_model(&self) -> Option<(Provider, String)> {
        let table = self.table();
        table.resolve_model(table.primary.as_deref()?)
    }

    fn put(
        &self,
        file: Arc<File>,
        registry: Option<&Registry>,
        lookup: &Lookup<'_>,
    ) -> Result<Changes, Error> {
        let plan = Plan::of(&file, lookup)?;
        // To the end: of two reloads at once, one is the former of the other.
        let mut state = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let former_registry = state.registry.clone();
        let registry = registry.or(former_registry.as_ref()).cloned();
        let registry = registry.ok_or_else(not_registered)?;
        let table = Arc::new(Table::new(plan, &registry, &state.table)?);
        let changes = state.table.changes_to(&table);
        let former = std::mem::replace(&mut state.table, table.clone());
        state.file = file;
        state.registry = Some(registry);
        drop(state);
        // After the new ones are in their places, so that no new request finds an old one.
        if let Some(registry) = former_registry {
            registry.let_go(&former.services_without(&table));
        }
        Ok(changes)
    }

    fn resolve_uri(&self, uri: &Uri) -> Option<LocalService> {
        self.state().table.routes.resolve(uri)
    }

    fn table(&self) -> Arc<Table> {
        self.state().table.clone()
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn resolve_model(&self, model: &str) -> Option<(Provider, String)> {
        let model = model.trim();
        // The longest id first: one may have slashes, as models do.
        model.rmatch_indices('/').find_map(|(slash, _)| {
            let entry = self.providers.get(&model[..slash])?;
            let model = &model[slash + 1..];
            (!model.is_empty()).then(|| (entry.provider.clone(), model.to_owned()))
        })
    }
}

impl<B> Resolve<http::Request<B>> for Providers {
    fn resolve(&self, request: &http::Request<B>) -> Option<LocalService> {
        self.resolve_uri(request.uri())
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        let ids: Vec<_> = state.file.providers().map(|(id, _)| id).collect();
        f.debug_struct("Providers")
            .field("ids", &ids)
            .field("is_registered", &state.registry.is_some())
            .finish_non_exhaustive()
    }
}

/// What is no UTF-8 cannot be put into a file's strings.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

fn not_registered() -> Error {
    let remedy = "are not registered yet: call `register` first, which says in which registry";
    let problems = vec![Problem::new(FILE, FILE, remedy)];
    Error::new(FILE, ErrorKind::InvalidConfig { problems })
}
