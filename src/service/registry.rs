//! Which services there are: identity → process, registry → its handles.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{Core, LocalService};
use crate::{
    config::{Identity, LocalServiceConfig, Settings},
    error::{Error, ErrorKind},
    launch::process::Processes,
    resources::Claims,
};

/// What all registries of a host process share: two of them cannot have one port either.
struct Host {
    claims: Arc<Claims>,
    cores: Mutex<HashMap<Identity, Weak<Core>>>,
}

static HOST: LazyLock<Host> = LazyLock::new(|| Host {
    claims: Arc::new(Claims::among_hosts()),
    cores: Mutex::default(),
});

impl Host {
    /// The core of that identity; a new one if nobody has it.
    fn core(&self, settings: &Settings, runtime: Option<&Handle>) -> Arc<Core> {
        let mut cores = self.cores.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = Identity::of(settings);
        if let Some(core) = cores.get(&identity).and_then(Weak::upgrade) {
            return core;
        }
        cores.retain(|_, core| core.strong_count() > 0);
        let core = Arc::new(Core::new(Processes, self.claims.clone(), runtime.cloned()));
        cores.insert(identity, Arc::downgrade(&core));
        core
    }
}

/// A set of services that are shut down together; a handle that is cheap to clone.
///
/// [`LocalService::new`] puts its services into the [global](Self::global) one, which is what most
/// programs need. Which process a service is does not depend on its registry: the same command on the
/// same endpoint is one process, in however many registries.
///
/// # Example
///
/// A host that lets answers come to their end before it goes:
///
/// ```
/// use std::time::Duration;
/// use tower_local_service::Registry;
///
/// async fn end() {
///     Registry::global().drain(Duration::from_secs(30)).await;
/// }
/// ```
///
/// A host that just ends need not do anything: its servers end with it, at once.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    runtime: Option<Handle>,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    services: Vec<LocalService>,
    is_shut_down: bool,
}

impl Entries {
    /// Says which handle it replaces.
    fn insert(&mut self, service: &LocalService) -> Result<Option<LocalService>, Error> {
        if self.is_shut_down {
            return Err(service.error(ErrorKind::ShutDown {}));
        }
        let former = self
            .services
            .iter_mut()
            .find(|other| is_same(other, service));
        if let Some(former) = former {
            return Ok(Some(std::mem::replace(former, service.clone())));
        }
        self.services.push(service.clone());
        Ok(None)
    }
}

/// Whether both are the same process by the same name.
fn is_same(one: &LocalService, other: &LocalService) -> bool {
    one.name() == other.name() && Arc::ptr_eq(one.core(), other.core())
}

impl Registry {
    /// An empty registry. Its services live at least as long as a clone of it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::default(),
        }
    }

    /// The registry of the host process; its services live as long as that.
    #[must_use]
    pub fn global() -> Self {
        static GLOBAL: LazyLock<Registry> = LazyLock::new(Registry::new);
        GLOBAL.clone()
    }

    /// An empty registry whose services are looked after on that runtime, and not on the crate's own
    /// thread.
    ///
    /// The runtime needs its I/O and time drivers. If it ends, so do the processes that were started
    /// on it; services that are asked for after that are looked after on the crate's own thread.
    #[must_use]
    pub fn with_runtime(runtime: Handle) -> Self {
        let inner = Inner {
            runtime: Some(runtime),
            entries: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A service of this registry. Nothing is started yet.
    ///
    /// The same name with the same command, arguments, environment and endpoint replaces the handle
    /// that the registry holds; clones of the former handle stay good.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) with every field that cannot work, and
    /// [`ShutDown`](ErrorKind::ShutDown) after [`shutdown`](Self::shutdown) or
    /// [`drain`](Self::drain).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a configuration is used up, so that nobody changes it and expects an effect"
    )]
    pub fn service(
        &self,
        name: impl Into<String>,
        base_url: impl AsRef<str>,
        config: LocalServiceConfig,
    ) -> Result<LocalService, Error> {
        let name = name.into();
        let settings = config.validate(&name, base_url.as_ref())?;
        self.adopt(name, settings)
    }

    /// A service whose configuration has been checked.
    pub(crate) fn adopt(&self, name: String, settings: Settings) -> Result<LocalService, Error> {
        let settings = Arc::new(settings);
        let core = HOST.core(&settings, self.inner.runtime.as_ref());
        let service = LocalService::attach(name, settings, core);
        // Dropped outside of the lock: the former one may be the last handle of its process.
        let _former = self.entries().insert(&service)?;
        Ok(service)
    }

    /// The services of this registry, in the order in which they came.
    #[must_use]
    pub fn services(&self) -> Vec<LocalService> {
        self.entries().services.clone()
    }

    /// Takes a service out: its handles give out no new leases ([`ShutDown`](ErrorKind::ShutDown)),
    /// the old ones may end in peace, then the process is stopped. Resolves when nothing of it is
    /// left.
    ///
    /// A process that other handles have under another name, or from another registry, goes on for
    /// them.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it goes on without the future.
    pub async fn retire(&self, service: &LocalService) {
        let retired: Vec<_> = self
            .entries()
            .services
            .extract_if(.., |other| is_same(other, service))
            .collect();
        retired
            .iter()
            .chain([service])
            .for_each(LocalService::shut_down);
        if !service.core().is_wanted() {
            // What cannot be killed cannot be waited for.
            drop(service.core().retire(None).await);
        }
    }

    /// Whether it holds this very handle.
    pub(crate) fn has(&self, service: &LocalService) -> bool {
        self.entries().services.iter().any(|it| it.is(service))
    }

    /// Begins to retire these, without waiting for anything: they are no longer of this registry, and
    /// their processes are stopped when the last leases have ended.
    ///
    /// Unlike [`retire`](Self::retire) their handles go on to work: a request that has come by one of
    /// them before it was replaced is served, if need be by a start of its own. A process goes on if
    /// it is that of another handle, too.
    pub(crate) fn let_go(&self, services: &[LocalService]) {
        let is_one = |other: &LocalService| services.iter().any(|it| it.is(other));
        let gone: Vec<_> = self
            .entries()
            .services
            .extract_if(.., |it| is_one(it))
            .collect();
        for service in services {
            service.core().retire_unless_wanted(|handle| {
                services
                    .iter()
                    .any(|it| it.is_handle(handle, service.core()))
            });
        }
        // Outside of the lock: they may be the last handles of their processes.
        drop(gone);
    }

    /// Refuses new leases from now on ([`ShutDown`](ErrorKind::ShutDown)), and stops all processes
    /// side by side, whatever leases are out. Resolves when nothing of them is left, or KILL did not
    /// help.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it goes on without the future.
    pub async fn shutdown(&self) {
        self.drain(Duration::ZERO).await;
    }

    /// As [`shutdown`](Self::shutdown), but each process is stopped when its last lease has ended, or the
    /// limit has passed. Zero is `shutdown`.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it goes on without the future.
    pub async fn drain(&self, limit: Duration) {
        let services = {
            let mut entries = self.entries();
            entries.is_shut_down = true;
            std::mem::take(&mut entries.services)
        };
        services.iter().for_each(LocalService::shut_down);
        // All are told before the first is waited for.
        let unwanted = services
            .iter()
            .map(LocalService::core)
            .filter(|core| !core.is_wanted());
        let ends: Vec<_> = unwanted.map(|core| core.retire(Some(limit))).collect();
        for end in ends {
            drop(end.await);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.inner
            .entries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("services", &self.services())
            .finish_non_exhaustive()
    }
}

impl LocalService {
    /// A service of the [global registry](Registry::global). Nothing is started yet.
    ///
    /// # Errors
    ///
    /// As [`Registry::service`].
    ///
    /// # Example
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_local_service::{LocalService, LocalServiceConfig};
    ///
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
    ///     .args(["--model", "gemma.gguf", "--port", "8080"])
    ///     .idle_stop(Duration::from_secs(300));
    /// let service = LocalService::new("gemma", "http://127.0.0.1:8080/v1", config)?;
    /// assert_eq!(service.name(), "gemma");
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    pub fn new(
        name: impl Into<String>,
        base_url: impl AsRef<str>,
        config: LocalServiceConfig,
    ) -> Result<Self, Error> {
        Registry::global().service(name, base_url, config)
    }
}
