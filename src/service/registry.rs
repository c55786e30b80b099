//! Registries: sets of services, which share one supervisor for each identity in all of your program.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Uri;
use tokio::runtime::Handle;

use super::{Events, LocalService, ResourceStatus};
use crate::{
    amount::Amount,
    config::{Identity, LocalServiceConfig, Settings},
    error::{Error, ErrorKind},
    launch::{Guarantees, process},
    resources::{Claims, Ports, peers},
    supervisor::{self, Client, ThisMachine},
};

/// What all registries of your program share: two of them cannot have the same port either.
struct ProcessWide {
    claims: Arc<Claims>,
    ports: Ports,
    clients: Mutex<HashMap<Identity, Weak<Client>>>,
}

static PROCESS_WIDE: LazyLock<ProcessWide> = LazyLock::new(|| ProcessWide {
    claims: Arc::new(Claims::new(peers::folder)),
    ports: Ports::default(),
    clients: Mutex::default(),
});

/// The port of a service whose base URL leaves it open.
pub(crate) fn choose_port(written: &Identity, at: &dyn Fn(u16) -> Identity) -> u16 {
    PROCESS_WIDE
        .ports
        .choose(written, at, peers::folder().as_ref())
}

impl ProcessWide {
    /// The client of that identity; a new one if no handle has it.
    fn client(&self, settings: &Settings, runtime: Option<&Handle>) -> Arc<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let identity = Identity::of(settings);
        if let Some(client) = clients.get(&identity).and_then(Weak::upgrade) {
            return client;
        }
        clients.retain(|_, client| client.strong_count() > 0);
        let client = Arc::new(Client::new(
            ThisMachine,
            self.claims.clone(),
            runtime.cloned(),
        ));
        clients.insert(identity, Arc::downgrade(&client));
        client
    }
}

/// What a launcher guarantees, and what is the same for all launchers.
pub(super) fn complete(guarantees: Guarantees) -> Guarantees {
    Guarantees {
        shares_servers: peers::folder().is_some(),
        sees_use: process::shows_use(),
        ..guarantees
    }
}

/// A set of services that are shut down together; a handle that is cheap to clone.
///
/// [`LocalService::new`] puts its services into the [global](Self::global) one, which is what most
/// programs need. Which process a service has does not depend on its registry: the same command at the
/// same address is one process, in however many registries.
///
/// # Four ends
///
/// | | of | new requests | responses in progress | then |
/// |---|---|---|---|---|
/// | [`LocalService::stop`] | one process | start it again | end with an error | the service is still in use |
/// | [`retire`](Self::retire) | one service | are refused | come to their end | it is no longer in the registry |
/// | [`drain`](Self::drain) | all services | are refused | come to their end, at most until the limit | the registry refuses new services |
/// | [`shutdown`](Self::shutdown) | all services | are refused | end with an error | the registry refuses new services |
///
/// Each resolves when nothing is left of the processes that it has stopped. An external server is never
/// stopped, and neither is a process that another handle or registry has in use, but by
/// [`stop`](LocalService::stop). If your program just ends, its processes end with it.
///
/// # Example
///
/// A program that lets answers come to their end before it exits:
///
/// ```
/// use std::time::Duration;
/// use tower_local_service::Registry;
///
/// async fn end() {
///     Registry::global().drain(Duration::from_secs(30)).await;
/// }
/// ```
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    runtime: Option<Handle>,
    entries: Mutex<Entries>,
    capacities: Capacities,
}

/// What a registry, or a configuration file, says how much there is, as long as it lives.
pub(crate) struct Capacities {
    owner: u64,
    said: Mutex<BTreeMap<String, Amount>>,
}

impl Default for Capacities {
    fn default() -> Self {
        static OWNERS: AtomicU64 = AtomicU64::new(0);
        Self {
            owner: OWNERS.fetch_add(1, Relaxed),
            said: Mutex::default(),
        }
    }
}

impl Capacities {
    /// Says this in the place of what was said before.
    pub(crate) fn replace(&self, capacities: BTreeMap<String, Amount>) {
        self.change(|said| *said = capacities);
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Amount>)) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let before = said.clone();
        change(&mut said);
        if *said != before {
            let table = &PROCESS_WIDE.claims.table;
            table.set_capacities(self.owner, said.clone());
        }
    }

    /// How much there is, as far as any other says so.
    pub(crate) fn of_others(&self, resource: &str) -> Option<Amount> {
        let table = &PROCESS_WIDE.claims.table;
        table.capacity_without(self.owner, resource)
    }
}

impl Drop for Capacities {
    fn drop(&mut self) {
        self.replace(BTreeMap::new());
    }
}

#[derive(Default)]
struct Entries {
    services: Vec<LocalService>,
    is_shut_down: bool,
}

impl Entries {
    /// Returns the handle that it replaces.
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

/// Whether both are the same process under the same name.
fn is_same(one: &LocalService, other: &LocalService) -> bool {
    one.name() == other.name() && Arc::ptr_eq(one.client(), other.client())
}

impl Registry {
    /// An empty registry. Its services live at least as long as a clone of it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::default(),
        }
    }

    /// The registry of your program. Its services live until the program ends.
    #[must_use]
    pub fn global() -> Self {
        static GLOBAL: LazyLock<Registry> = LazyLock::new(Registry::new);
        GLOBAL.clone()
    }

    /// An empty registry whose services are supervised on that runtime, and not on the crate's own
    /// thread.
    ///
    /// The runtime needs its I/O and time drivers. If it ends, so do the processes that were started
    /// on it; services that are used after that are supervised on the crate's own thread.
    #[must_use]
    pub fn with_runtime(runtime: Handle) -> Self {
        let inner = Inner {
            runtime: Some(runtime),
            ..Inner::default()
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A service of this registry. Nothing is started yet, unless it is to be
    /// [kept ready](LocalServiceConfig::keep_ready).
    ///
    /// With `${port}` in the place of the port of the base URL, the crate chooses one of 20000 to 29999, and
    /// fills it in there, in the health URL, in arguments and in variables.
    /// [`base_url`](LocalService::base_url) has it. The same configuration has the same port in every
    /// program, unless another program has that when the service is created.
    ///
    /// The same name with the same command, arguments, environment and address replaces the handle
    /// that the registry has; clones of the former handle still work.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) with every field that cannot work, and
    /// [`ShutDown`](ErrorKind::ShutDown) after [`shutdown`](Self::shutdown) or
    /// [`drain`](Self::drain).
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a configuration is consumed, so that nobody changes it and expects an effect"
    )]
    pub fn service(
        &self,
        name: impl Into<String>,
        base_url: impl AsRef<str>,
        config: LocalServiceConfig,
    ) -> Result<LocalService, Error> {
        let name = name.into();
        let capacity = |resource: &str| PROCESS_WIDE.claims.table.capacity(resource);
        let settings = config.validate_with(&name, base_url.as_ref(), &capacity, &choose_port)?;
        self.adopt(name, settings)
    }

    /// A service whose configuration has been checked.
    pub(crate) fn adopt(&self, name: String, settings: Settings) -> Result<LocalService, Error> {
        let settings = Arc::new(settings);
        let client = PROCESS_WIDE.client(&settings, self.inner.runtime.as_ref());
        let service = LocalService::attach(name, settings, client);
        // Dropped outside of the lock: the former handle may be the last one of its process.
        let _former = self.entries().insert(&service)?;
        service.keep_ready();
        Ok(service)
    }

    /// How much there is of a named resource: memory of a GPU, or a number of models that may run at a time.
    ///
    /// It holds for all services of your program, of whatever registry, as long as this registry lives, and is shared
    /// with the [programs of the user](crate::docs::sharing#one-gpu-for-several-programs) that need the same. Where
    /// several registries say it, the smallest amount counts. Another call for the same resource replaces the
    /// amount. A smaller one stops nothing: it only keeps services from being started until there is room.
    ///
    /// Say it before you create services that [need](LocalServiceConfig::needs) it.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::{Amount, Registry};
    ///
    /// let registry = Registry::new();
    /// registry.capacity("gpu0", Amount::gib(24));
    /// registry.capacity("models", 3);
    ///
    /// let gpu = &registry.resources()[0];
    /// assert_eq!((gpu.name.as_str(), gpu.capacity), ("gpu0", Amount::gib(24)));
    /// assert!(gpu.holders.is_empty());
    /// ```
    pub fn capacity(&self, resource: impl Into<String>, capacity: impl Into<Amount>) {
        let (resource, capacity) = (resource.into(), capacity.into());
        let capacities = &self.inner.capacities;
        capacities.change(|said| _ = said.insert(resource, capacity));
    }

    /// How the named resources of your program are used, here and by other programs of the user, sorted by their
    /// names. Services of other programs have the pid in their name, as in `chat (process 1234)`.
    ///
    /// It reads the small files that programs share.
    #[must_use]
    pub fn resources(&self) -> Vec<ResourceStatus> {
        let usage = PROCESS_WIDE.claims.table.usage();
        usage.into_iter().map(ResourceStatus::from).collect()
    }

    /// Starts these services one after another, as far as there is room now, and says what became of each.
    ///
    /// No service is made to leave for it, and none is kept waiting: a service for which there is no room gets
    /// [`NoRoom`](ErrorKind::NoRoom) or [`AddressInUse`](ErrorKind::AddressInUse) immediately, and the next one
    /// is tried. A service for which a request comes meanwhile is started as ever.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the start under way continues, and the services after it are not started.
    pub async fn preload(&self, services: &[LocalService]) -> Vec<Result<(), Error>> {
        let mut results = Vec::new();
        for service in services {
            results.push(service.preload().await);
        }
        results
    }

    /// What this machine allows, for processes that are started now. Does not block.
    ///
    /// Of a server that runs, [`Status::guarantees`](crate::Status::guarantees) says what its launcher guarantees.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::Registry;
    ///
    /// if !Registry::global().guarantees().dies_with_program {
    ///     eprintln!("without /bin/sh, a server outlives this program if that is killed");
    /// }
    /// ```
    #[must_use]
    pub fn guarantees(&self) -> Guarantees {
        complete(process::guarantees())
    }

    /// What happens to the services of this registry from now on, also to those that are created later.
    ///
    /// Nothing waits for the consumer, and each one gets all events. The last 256 of your program are kept: one that is
    /// slower finds out how many it has [missed](crate::Event::missed).
    ///
    /// # Example
    ///
    /// See [`Events::next`].
    #[must_use]
    pub fn events(&self) -> Events {
        Events::of(self.clone(), supervisor::subscribe())
    }

    /// The services of this registry, in the order in which they were created.
    #[must_use]
    pub fn services(&self) -> Vec<LocalService> {
        self.entries().services.clone()
    }

    /// Removes a service: its handles give out no new leases ([`ShutDown`](ErrorKind::ShutDown)), and
    /// when the existing leases have ended, the process is stopped. Resolves when nothing of it is
    /// left.
    ///
    /// A process that handles of another name or registry have in use is not stopped.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it continues without the future.
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
        if !service.client().has_handles() {
            // A process that survives SIGKILL is not waited for.
            drop(service.client().retire(None).await);
        }
    }

    /// Whether it holds this very handle.
    pub(crate) fn has(&self, service: &LocalService) -> bool {
        self.entries().services.iter().any(|it| it.is(service))
    }

    /// Begins to retire these, without waiting for anything: they are no longer in this registry, and
    /// their processes are stopped when the last leases have ended.
    ///
    /// Unlike with [`retire`](Self::retire), their handles still work: a request that has found one of
    /// them before it was replaced is served, if need be by another start. A process that another
    /// handle has in use is not stopped.
    pub(crate) fn let_go(&self, services: &[LocalService]) {
        let is_one = |other: &LocalService| services.iter().any(|it| it.is(other));
        let gone: Vec<_> = self
            .entries()
            .services
            .extract_if(.., |it| is_one(it))
            .collect();
        for service in services {
            service.client().retire_unless_needed(|handle| {
                services
                    .iter()
                    .any(|it| it.is_handle(handle, service.client()))
            });
        }
        // Outside of the lock: they may be the last handles of their processes.
        drop(gone);
    }

    /// Refuses new leases from now on ([`ShutDown`](ErrorKind::ShutDown)), and stops all processes at
    /// the same time, even while there are leases. Resolves when nothing of them is left, or if they
    /// survive SIGKILL.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it continues without the future.
    pub async fn shutdown(&self) {
        self.drain(Duration::ZERO).await;
    }

    /// As [`shutdown`](Self::shutdown), but each process is stopped when its last lease has ended, or the
    /// limit has passed. Zero is `shutdown`.
    ///
    /// # Cancel safety
    ///
    /// Once polled, it continues without the future.
    pub async fn drain(&self, limit: Duration) {
        let services = {
            let mut entries = self.entries();
            entries.is_shut_down = true;
            std::mem::take(&mut entries.services)
        };
        services.iter().for_each(LocalService::shut_down);
        // All stops begin before the first one is waited for.
        let unwanted = services
            .iter()
            .map(LocalService::client)
            .filter(|client| !client.has_handles());
        let ends: Vec<_> = unwanted.map(|client| client.retire(Some(limit))).collect();
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
    /// A service that fails with this error whenever it is asked for. It is in no registry, and nothing is
    /// ever started for it.
    pub(crate) fn unavailable(name: &str, base: &Uri, error: Error) -> Self {
        let client = Client::new(ThisMachine, PROCESS_WIDE.claims.clone(), None);
        let settings = Arc::new(Settings::unavailable(base, error));
        Self::attach(name.to_owned(), settings, Arc::new(client))
    }

    /// A service that the [global registry](Registry::global) keeps until your program ends, even if
    /// all of its handles are dropped.
    ///
    /// Nothing is started yet. Its process is stopped by [`idle_stop`](LocalServiceConfig::idle_stop),
    /// which is off by default, by [`stop`](Self::stop) or by the registry; a service that is to end
    /// with its handles belongs in a [`Registry`] of its own.
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
