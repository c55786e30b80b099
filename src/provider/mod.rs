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
//! `request` (its `headers` and `auth`), `models[]` (with `baseUrl`, `api` and `headers`) and
//! `localService` (a [`LocalServiceConfig`](crate::LocalServiceConfig)), `agents.defaults.model`, a string
//! or `{ primary }`, the `alias` of each of `agents.defaults.models`, and `env`. For files of your own there are
//! `models.resources` and `models.preload`, too.
//!
//! In every string that is read, `${VAR}` (capitals, digits, `_`) is a variable, and `$${VAR}` is the text
//! `${VAR}`. Keys and headers may be `$VAR` or `{ source: "env", id: "VAR" }`, too. Variables are those of
//! your program's environment, or of the [look-up](ProvidersConfig::with_variables) that it gives
//! ([`dotenv()`] reads a file of them); then those in `env.vars` and `env` of the file, which the local
//! servers find in their environment, too. In `command`, `cwd` and `args`, a `~` or `~/` at the beginning
//! is the home folder.
//!
//! *Unavailable* is a provider with a variable that is unset or empty, with a key or header from
//! another source than the environment, or with another kind of `request.auth`. It is kept, and
//! [`warnings`](Providers::warnings) names the reason. [`Provider::unavailable`] has the error, and a
//! request for its URL fails with it. The other providers are as usable as ever.
//!
//! *Skipped* are all other keys, so that a file of `OpenClaw`'s can be read as it is; its `$include` is
//! not followed. A provider with neither `baseUrl` nor `localService` is skipped, too: `OpenClaw` has
//! it built in.
//!
//! *Refused* is the whole file for an unknown key in `localService`, which is likely a typing mistake; for
//! one of the keys above, or a provider, that is there twice; and for what cannot work. `OpenClaw` in turn refuses the keys of
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
mod dotenv;
mod file;
#[cfg(feature = "json5")]
mod json5;
#[cfg(feature = "json5")]
mod keys;
#[cfg(feature = "json5")]
mod nearest;
mod plan;
#[cfg(feature = "reqwest")]
mod reqwest;
mod routes;
mod table;
#[cfg(test)]
mod tests;
mod variables;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

use http::Uri;

pub use self::{
    data::{Changes, Model, Provider},
    dotenv::dotenv,
    file::ProvidersConfig,
    variables::VariableLookup,
};
use self::{
    plan::Plan,
    table::Table,
    variables::{Variables, of_process},
};
use crate::{
    error::{Error, Problem},
    middleware::Resolve,
    service::{Capacities, LocalService, Registry},
};

/// The name of a whole file in errors.
const FILE: &str = "models.providers";

impl ProvidersConfig {
    /// Looks up variables in this way, and not in the environment of the process: in a keychain, in a
    /// [dotenv file](dotenv()), in a test's own map.
    ///
    /// It is called while the file is [registered](Self::register) or [reloaded](Providers::reload), on
    /// the thread that does so, once or more for each variable in the file. `None` and an empty text are a
    /// variable that is not set, and so is a panic. `env` of the file comes after it.
    ///
    /// # Example
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use tower_local_service::provider::ProvidersConfig;
    ///
    /// let keys = HashMap::from([("LLAMA_API_KEY".to_owned(), "sk-very-secret".to_owned())]);
    /// let config = ProvidersConfig::default().with_variables(move |name| keys.get(name).cloned());
    /// ```
    #[must_use]
    pub fn with_variables(
        mut self,
        lookup: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        self.read.variables = Some(Variables(Arc::new(lookup)));
        self
    }

    /// Fills in the variables, checks the whole file, and makes a service of each `localService`, named as
    /// its provider. Nothing is started yet.
    ///
    /// A provider that needs what cannot be found out is unavailable, and the others are not: see
    /// [`Provider::unavailable`] and [`Providers::warnings`].
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](crate::ErrorKind::InvalidConfig) with all problems of the file, each with its
    /// provider, its field and what to do; [`ShutDown`](crate::ErrorKind::ShutDown) if the registry is
    /// shut down. The registry is then as it was.
    pub fn register(self, registry: &Registry) -> Result<Providers, Error> {
        let capacities = Capacities::default();
        Providers::new(self.plan(None, &capacities)?, registry, capacities)
    }

    /// With the former look-up of variables, if it has none of its own.
    fn plan(mut self, former: Option<Variables>, capacities: &Capacities) -> Result<Plan, Error> {
        let variables = self.read.variables.take().or(former);
        let plan = match &variables {
            Some(Variables(lookup)) => Plan::of(self, &**lookup, capacities)?,
            None => Plan::of(self, &of_process, capacities)?,
        };
        Ok(Plan { variables, ..plan })
    }
}

/// The providers of a configuration file in a registry: a handle that is cheap to clone, and a
/// [`Resolve`] for a layer.
///
/// All clones see a [`reload`](Self::reload) of one of them. To read one touches neither the file
/// system nor the environment.
///
/// # Example
///
/// ```no_run
/// # #[cfg(feature = "json5")] {
/// use tower_local_service::{EnsureLocalServiceLayer, Registry, provider::ProvidersConfig};
///
/// let config = ProvidersConfig::from_file("/home/me/models.json5")?;
/// let providers = config.register(&Registry::global())?;
/// let layer = EnsureLocalServiceLayer::new(providers.clone());
///
/// // Later, when the file has been edited:
/// let changes = providers.reload(ProvidersConfig::from_file("/home/me/models.json5")?)?;
/// println!("{changes:?}");
/// # drop(layer);
/// # }
/// # Ok::<(), tower_local_service::Error>(())
/// ```
#[derive(Clone)]
pub struct Providers {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    /// What the file says how much there is.
    capacities: Capacities,
    table: RwLock<Arc<Table>>,
}

impl Providers {
    fn new(mut plan: Plan, registry: &Registry, capacities: Capacities) -> Result<Self, Error> {
        let resources = std::mem::take(&mut plan.resources);
        let table = Table::new(plan, registry, &Table::default())?;
        table.warn();
        capacities.replace(resources);
        let shared = Shared {
            registry: registry.clone(),
            capacities,
            table: RwLock::new(Arc::new(table)),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Replaces the providers by those of another reading of the file, for all clones of this handle
    /// and so for the layers that have them.
    ///
    /// - A service is kept, with its process, if neither its `localService` nor `baseUrl`, `apiKey` and
    ///   headers have changed. If only times and probes have changed, its process is kept.
    /// - What is new counts immediately, for all requests that come from then on.
    /// - A service that has changed or is gone retires in the background: its process is stopped when
    ///   the last response has ended. A request that was on its way to it is still served, if need be
    ///   by another start. A [`Provider`] or service that you have kept still works, too.
    /// - A start under way of a service that has changed ends when a request asks for the successor. The
    ///   requests that wait for it are served by the successor, or fail with
    ///   [`Stopped`](crate::ErrorKind::Stopped) if that has another origin.
    ///
    /// `models.resources` counts immediately, too: less of something stops nothing that runs.
    ///
    /// No request is lost by it. Variables are looked up as at the last reading, unless the configuration
    /// has a [look-up](ProvidersConfig::with_variables) of its own.
    ///
    /// # Errors
    ///
    /// As [`register`](ProvidersConfig::register). The providers then stay as they were.
    pub fn reload(&self, config: ProvidersConfig) -> Result<Changes, Error> {
        let variables = self.table().variables.clone();
        self.replace(config.plan(variables, &self.shared.capacities)?)
    }

    /// The provider with this id, whatever the case of its letters.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Provider> {
        self.table().get(id).map(|it| it.provider.clone())
    }

    /// What is no reason to refuse the file, but should be known. Also an event of level `WARN` each.
    ///
    /// - each variable, key and header that makes a provider unavailable,
    /// - a `command` or `cwd` that could not be used when the file was read, and a program that every
    ///   user of the machine may change,
    /// - a key of a provider that is skipped and is likely a misspelt one.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "json5")] {
    /// use tower_local_service::{Registry, provider::ProvidersConfig};
    ///
    /// let text = r#"{ models: { providers: {
    ///   far: { baseUrl: "https://api.example.com/v1", apiKey: "${NOBODY_SETS_THIS}" },
    ///   near: { baseUrl: "http://127.0.0.1:8080/v1" },
    /// } } }"#;
    /// let providers = ProvidersConfig::from_json5(text)?.register(&Registry::new())?;
    ///
    /// assert_eq!(providers.warnings()[0].service, "far");
    /// assert!(providers.get("far").unwrap().unavailable.is_some());
    /// assert!(providers.get("near").unwrap().unavailable.is_none());
    /// # }
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        self.table().warnings.clone()
    }

    /// The ids of all providers, sorted.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.table().providers.keys().cloned().collect()
    }

    /// The provider of a model, and that provider's name for it: `inferrs/google/gemma` is
    /// `google/gemma` of the provider `inferrs`, whether or not its `models` have it. `None` if there is
    /// no such provider. Ids may have slashes, too: the longest one that fits wins. The case of their
    /// letters does not matter, as in `OpenClaw`. Else it may be an [alias](Self::aliases).
    ///
    /// Where the model has a `baseUrl`, `api` or `headers` of its own, the provider that is returned has
    /// those, and the service of that URL.
    #[must_use]
    pub fn resolve_model(&self, model: &str) -> Option<(Provider, String)> {
        self.table().resolve_model(model)
    }

    /// The short names of models in `agents.defaults.models`, and what each stands for, sorted.
    ///
    /// # Example
    ///
    /// ```
    /// # #[cfg(feature = "json5")] {
    /// use tower_local_service::{Registry, provider::ProvidersConfig};
    ///
    /// let text = r#"{
    ///   models: { providers: { llama: { baseUrl: "http://127.0.0.1:8080/v1" } } },
    ///   agents: { defaults: { models: { "llama/gemma-3-4b-it": { alias: "small" } } } },
    /// }"#;
    /// let providers = ProvidersConfig::from_json5(text)?.register(&Registry::new())?;
    ///
    /// let (provider, model) = providers.resolve_model("small").unwrap();
    /// assert_eq!((&*provider.id, &*model), ("llama", "gemma-3-4b-it"));
    /// # }
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    #[must_use]
    pub fn aliases(&self) -> Vec<(String, String)> {
        self.table().aliases.clone().into_iter().collect()
    }

    /// The services that the file lists in `models.preload`, in that order: for
    /// [`Registry::preload`](crate::Registry::preload). Nothing starts them by itself.
    #[must_use]
    pub fn preload(&self) -> Vec<LocalService> {
        let table = self.table();
        let services = table.preload.iter().filter_map(|id| table.service_of(id));
        services.cloned().collect()
    }

    /// The same for `agents.defaults.model`; `None` if the file has none.
    #[must_use]
    pub fn primary_model(&self) -> Option<(Provider, String)> {
        let table = self.table();
        table.resolve_model(table.primary.as_deref()?)
    }

    fn replace(&self, mut plan: Plan) -> Result<Changes, Error> {
        let Shared {
            registry,
            capacities,
            table,
        } = &*self.shared;
        let resources = std::mem::take(&mut plan.resources);
        // Held to the end: of two reloads at the same time, one replaces the other.
        let mut table = table.write().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(Table::new(plan, registry, &table)?);
        let changes = table.changes_to(&next);
        capacities.replace(resources);
        let former = std::mem::replace(&mut *table, next.clone());
        drop(table);
        // After the new services are in place, so that no new request finds an old one.
        let left = former.services_without(&next);
        registry.let_go(&left);
        for service in left {
            if let Some(next) = next.service_of(service.name()) {
                service.replaced_by(next);
            }
        }
        next.warn();
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
