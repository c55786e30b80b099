//! Configuration files, in the shape of `OpenClaw`'s: providers of models, and the local servers behind them.
//!
//! [`ProvidersConfig`] is such a file, and [`Providers`] what comes of it in a registry: it finds the
//! service of a request by the request's URL. One layer serves all services of a file, and follows
//! [`reload`](Providers::reload):
//!
//! ```
//! # #[cfg(feature = "json5")] {
//! use tower_local_service::{EnsureLocalServiceLayer, Registry, provider::ProvidersConfig};
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
//! let providers = ProvidersConfig::from_json5(text)?.register(&Registry::global())?;
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
//! In every string that is read, `${VAR}` (capitals, digits, `_`) is a variable of your program's
//! environment, and `$${VAR}` is the text `${VAR}`. Keys and headers may be
//! `{ source: "env", id: "VAR" }`, too.
//!
//! *Skipped* are all other keys, so that a file of `OpenClaw`'s can be read as it is; its `$include` is
//! not followed. A provider with neither `baseUrl` nor `localService` is skipped, too: `OpenClaw` has
//! it built in.
//!
//! *Refused* are an unknown key in `localService`, which is likely a typing mistake; a variable that is
//! unset or empty; a key or header from another source than the environment; one of the keys above, or
//! a provider, that is there twice; and what cannot work. `OpenClaw` in turn refuses the keys of
//! `localService` that it does not have: all but `command`, `args`, `cwd`, `env`, `healthUrl`,
//! `readyTimeoutMs` and `idleStopMs`.
//!
//! # Which provider a request is for
//!
//! The provider with the longest `baseUrl` that the request's URL begins with: scheme, host
//! (`localhost`, 127.0.0.1 and `[::1]` are one), port and whole segments of the path. Requests to no
//! provider, or to one without `localService`, pass through untouched. If two providers have the same
//! `baseUrl`, its requests are for the first by its id that has a `localService`: take the
//! [`service`](Provider::service) of [`resolve_model`](Providers::resolve_model) where the model
//! decides.

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
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use http::Uri;

pub use self::{
    data::{Changes, Provider},
    file::{Model, ProvidersConfig},
};
use self::{plan::Plan, table::Table};
use crate::{
    error::Error,
    middleware::Resolve,
    service::{LocalService, Registry},
};

/// The name of a whole file in errors.
const FILE: &str = "models.providers";

impl ProvidersConfig {
    /// Fills in the variables of the environment, checks the whole file, and makes a service of each
    /// `localService`, named as its provider. Nothing is started yet.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all problems of the file, each with its
    /// provider, its field and what to do; [`ShutDown`](crate::ErrorKind::ShutDown) if the registry is
    /// shut down. The registry is then as it was.
    pub fn register(self, registry: &Registry) -> Result<Providers, Error> {
        Providers::new(Plan::of(self, &variable)?, registry)
    }
}

/// The providers of a configuration file in a registry: a handle that is cheap to clone, and a
/// [`Resolve`] for a layer.
///
/// All clones see a [`reload`](Self::reload) of one of them. To read one touches neither the file
/// system nor the environment.
#[derive(Clone)]
pub struct Providers {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    table: RwLock<Arc<Table>>,
}

impl Providers {
    fn new(plan: Plan, registry: &Registry) -> Result<Self, Error> {
        let table = Table::new(plan, registry, &Table::default())?;
        let shared = Shared {
            registry: registry.clone(),
            table: RwLock::new(Arc::new(table)),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Replaces the providers by those of another reading of the file, for all clones of this handle
    /// and so for the layers that have them.
    ///
    /// - A service is kept, with its process, if neither its `localService` nor `baseUrl` nor `apiKey`
    ///   has changed. If only times and probes have changed, its process is kept.
    /// - What is new counts immediately, for all requests that come from then on.
    /// - A service that has changed or is gone retires in the background: its process is stopped when
    ///   the last response has ended. A request that was on its way to it is still served, if need be
    ///   by another start. A [`Provider`] or service that you have kept still works, too.
    ///
    /// No request is lost by it.
    ///
    /// # Errors
    ///
    /// As [`register`](ProvidersConfig::register). The providers then stay as they were.
    pub fn reload(&self, config: ProvidersConfig) -> Result<Changes, Error> {
        self.replace(Plan::of(config, &variable)?)
    }

    /// The provider with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Provider> {
        let table = self.table();
        table.providers.get(id).map(|it| it.provider.clone())
    }

    /// The ids of all providers, sorted.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.table().providers.keys().cloned().collect()
    }

    /// The provider of a model, and that provider's name for it: `inferrs/google/gemma` is
    /// `google/gemma` of the provider `inferrs`, whether or not its `models` have it. `None` if there is
    /// no such provider. Ids may have slashes, too: the longest one that fits wins.
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

    fn replace(&self, plan: Plan) -> Result<Changes, Error> {
        let Shared { registry, table } = &*self.shared;
        // Held to the end: of two reloads at the same time, one replaces the other.
        let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(Table::new(plan, registry, &table)?);
        let changes = table.changes_to(&next);
        let former = std::mem::replace(&mut *table, next.clone());
        drop(table);
        // After the new services are in place, so that no new request finds an old one.
        registry.let_go(&former.services_without(&next));
        Ok(changes)
    }

    fn resolve_uri(&self, uri: &Uri) -> Option<LocalService> {
        self.read().routes.resolve(uri)
    }

    fn table(&self) -> Arc<Table> {
        self.read().clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Arc<Table>> {
        let table = self.shared.table.read();
        table.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Resolve<http::Request<B>> for Providers {
    fn resolve(&self, request: &http::Request<B>) -> Option<LocalService> {
        self.resolve_uri(request.uri())
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providers")
            .field("ids", &self.ids())
            .finish_non_exhaustive()
    }
}

/// A variable whose value is no UTF-8 counts as unset: it cannot be put into a string.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}
