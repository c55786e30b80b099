//! The service that users hold.

use std::{fmt, sync::Arc, time::Duration};

use http::Uri;
use tokio::{sync::watch, time::Instant};

use super::{handle::Handle, lease::Lease, output::Output, registry::complete, status::Status};
use crate::{
    config::Settings,
    error::{Error, ErrorKind},
    leases::Grant,
    machine::{Ownership, Phase, Record, Want},
    supervisor::{self, Attached, Client, Snapshot},
};
#[cfg(feature = "retry")]
use crate::{launch::process, probe};

/// One configured local server: a handle that is cheap to clone.
///
/// Handles with the same command, arguments, working directory, environment and address are handles
/// of one process, whatever their names and registries: its leases are counted together, and where
/// the configured times differ, the longest counts.
///
/// The service lives as long as its [`Registry`](crate::Registry) or anything that holds a handle: a
/// layer, a future, a lease. When the last of them is gone, the process is stopped.
///
/// # Example
///
/// ```no_run
/// use std::time::Duration;
/// use tower_local_service::{LocalService, LocalServiceConfig};
///
/// # async fn f() -> Result<(), tower_local_service::Error> {
/// let config = LocalServiceConfig::new("/usr/local/bin/llama-server")
///     .args(["--model", "/models/gemma.gguf", "--port", "8080"])
///     .health_url("http://127.0.0.1:8080/health")
///     .idle_stop(Duration::from_secs(300));
/// let llama = LocalService::new("llama", "http://127.0.0.1:8080/v1", config)?;
///
/// llama.start().await?; // load the model before the first request
/// println!("{:?}", llama.status().phase);
/// llama.stop().await?; // and free the memory
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LocalService {
    handle: Arc<Handle>,
}

impl LocalService {
    pub(crate) fn attach(name: String, settings: Arc<Settings>, client: Arc<Client>) -> Self {
        let attached = Attached { name, settings };
        Self {
            handle: Arc::new(Handle::attach(attached, client)),
        }
    }

    /// Its name, which errors and events show.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// The URL that its requests begin with, as it was configured.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::{LocalService, LocalServiceConfig, Registry};
    /// # let config = LocalServiceConfig::new("/usr/local/bin/llama-server");
    /// # let gemma = Registry::new().service("gemma", "http://127.0.0.1:8080/v1", config)?;
    /// let url = format!("{}/chat/completions", gemma.base_url());
    /// assert_eq!(url, "http://127.0.0.1:8080/v1/chat/completions");
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    #[must_use]
    pub fn base_url(&self) -> &Uri {
        &self.settings().base
    }

    /// The command and its arguments, to be shown: `[redacted]` stands in the place of what looks secret.
    ///
    /// # Example
    ///
    /// ```
    /// # use tower_local_service::{LocalService, LocalServiceConfig, Registry};
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server").args(["--api-key", "sk-12345678"]);
    /// let llama = Registry::new().service("llama", "http://127.0.0.1:8080/v1", config)?;
    /// assert_eq!(llama.command(), ["/usr/local/bin/llama-server", "--api-key", "[redacted]"]);
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        self.settings().shown_command()
    }

    /// Makes sure that the server runs and is ready, and takes a lease on it.
    ///
    /// # Errors
    ///
    /// What kept the server from being ready; see [`ErrorKind`](crate::ErrorKind).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the start continues, and the next call waits only for the rest of
    /// it. No lease is lost.
    /// # Example
    ///
    /// ```
    /// use tower_local_service::{Error, LocalService};
    ///
    /// async fn warm_up(llama: &LocalService) -> Result<(), Error> {
    ///     let lease = llama.acquire().await?;
    ///     println!("ready after {:?}", lease.waited());
    ///     // … talk to the server …
    ///     drop(lease);
    ///     Ok(())
    /// }
    /// ```
    pub async fn acquire(&self) -> Result<Lease, Error> {
        if let Some(lease) = self.try_acquire() {
            return Ok(lease);
        }
        let begun = Instant::now();
        let granted = self.ask(Want::Lease).await;
        let waited = begun.elapsed();
        supervisor::waited(self.name(), waited, granted.as_ref().err());
        match granted? {
            (handle, Some(grant)) => Ok(Lease::new(handle, grant.accept(), waited)),
            (_, None) => Err(self.error(ErrorKind::ShutDown {})),
        }
    }

    /// Takes a lease if the server is ready. Never waits, probes or starts anything.
    ///
    /// `None` also right after a request has failed, and for an external server that was silent for a second:
    /// the next use then begins with a look whether the server is still there.
    /// # Example
    ///
    /// Taking a remote model while the local one is not loaded:
    ///
    /// ```
    /// use tower_local_service::LocalService;
    ///
    /// fn base_url(llama: &LocalService) -> String {
    ///     match llama.try_acquire() {
    ///         Some(_lease) => llama.base_url().to_string(),
    ///         None => "https://api.example.com/v1".to_owned(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn try_acquire(&self) -> Option<Lease> {
        let instance = self.handle.take()?;
        Some(Lease::new(self.handle.clone(), instance, Duration::ZERO))
    }

    /// The same without a clone of the handle.
    #[inline]
    pub(crate) fn try_into_lease(self) -> Result<Lease, Self> {
        match self.handle.take() {
            Some(instance) => Ok(Lease::new(self.handle, instance, Duration::ZERO)),
            None => Err(self),
        }
    }

    /// Starts the server ahead of the first request, and waits until it is ready. No lease is kept, so
    /// the idle time begins. Clears the backoff of earlier failures.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the start continues.
    pub async fn start(&self) -> Result<(), Error> {
        self.ask(Want::Start).await.map(drop)
    }

    /// Lets its supervisor start it without a request, if it is to be kept ready.
    pub(crate) fn keep_ready(&self) {
        if self.settings().policy.keep_ready {
            self.client().begin(&self.handle.attached);
        }
    }

    /// The same, if there is room for it and no other service has to leave.
    pub(super) async fn preload(&self) -> Result<(), Error> {
        self.ask(Want::Preload).await.map(drop)
    }

    /// Whether a lease could be taken.
    pub(crate) fn is_ready(&self) -> bool {
        let word = self.handle.instances.leases.word();
        word.is_open() && !word.is_suspect()
    }

    /// Without a lease, and without forgiving earlier failures.
    pub(crate) async fn wait_until_ready(&self) -> Result<(), Error> {
        self.ask(Want::Readiness).await.map(drop)
    }

    /// The answer, and the handle that gave it: that of the latest configuration, if this one was replaced.
    async fn ask(&self, want: Want) -> Result<(Arc<Handle>, Option<Grant>), Error> {
        loop {
            let handle = self.handle.latest();
            if let Some(error) = &handle.attached.settings.unavailable {
                return Err(error.clone());
            }
            if handle.is_shut_down() {
                return Err(self.error(ErrorKind::ShutDown {}));
            }
            handle.take_over();
            let Handle {
                id,
                attached,
                client,
                ..
            } = &*handle;
            match client.ask(*id, attached, want).await {
                Ok(grant) => return Ok((handle, grant)),
                Err(error)
                    if !handle.has_dismissed_for_successor(&error) || handle.is_shut_down() =>
                {
                    return Err(error.named(self.name()));
                }
                Err(_) => {}
            }
            if Arc::ptr_eq(&handle, &handle.latest()) {
                return Err(self.error(ErrorKind::Stopped {}));
            }
        }
    }

    /// The next configuration of this service is that one. A start that is under way ends as soon as the next one is
    /// asked for, even if requests wait for it.
    pub(crate) fn replaced_by(&self, next: &Self) {
        self.handle.replaced_by(&next.handle);
    }

    /// Stops the process now, even while there are leases: their bodies end with an [`Error`]. The next
    /// request starts it again, and so does a request that waits already. Clears the backoff.
    ///
    /// Resolves when nothing of the process is left; immediately if no server runs.
    ///
    /// # Errors
    ///
    /// - [`External`](crate::ErrorKind::External) if the server is one that your program did not start: it is never
    ///   stopped, and its leases continue.
    /// - [`Unkillable`](crate::ErrorKind::Unkillable) if the process survived SIGKILL.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the stop continues without the future.
    pub async fn stop(&self) -> Result<(), Error> {
        let stopped = self.handle.client.stop().await;
        stopped.map_err(|error| error.named(self.name()))
    }

    /// What it is doing now. Never waits.
    /// # Example
    ///
    /// ```
    /// use tower_local_service::{LocalService, LocalServiceConfig, Phase};
    ///
    /// let config = LocalServiceConfig::new("/usr/local/bin/llama-server");
    /// let llama = LocalService::new("llama", "http://127.0.0.1:8080/v1", config)?;
    /// assert_eq!(llama.status().phase, Phase::Stopped); // nothing has asked for it
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    #[must_use]
    pub fn status(&self) -> Status {
        let snapshot = self.handle.client.board.snapshot.borrow().clone();
        self.status_of(snapshot)
    }

    fn status_of(&self, snapshot: Snapshot) -> Status {
        let (now, leases) = (self.handle.instances.now(), &self.handle.instances.leases);
        let word = leases.word();
        let up_for = snapshot.ready_since.map(|since| now.saturating_sub(since));
        let loading_for = snapshot.loading_since.map(|it| now.saturating_sub(it));
        let is_idle = up_for.is_some() && word.count() == 0;
        let idle_for = is_idle.then(|| now.saturating_sub(leases.idle_since()));
        let is_owned = snapshot.ownership == Some(Ownership::Owned);
        let idle_stop = self
            .handle
            .client
            .board
            .policy()
            .filter(|it| !it.keep_ready)
            .and_then(|it| it.idle_stop);
        let stops_in = idle_stop.zip(idle_for).filter(|_| is_owned);
        Status {
            waits_for: self.waits_for(&snapshot),
            phase: snapshot.phase,
            ownership: snapshot.ownership,
            pid: snapshot.pid,
            guarantees: snapshot.guarantees.map(complete),
            leases: word.count(),
            waiters: snapshot.waiters,
            loading_for,
            up_for,
            idle_for,
            stops_in: stops_in.map(|(idle_stop, idle)| idle_stop.saturating_sub(idle)),
            starts: snapshot.starts,
            last_error: snapshot.last_error.map(|error| error.named(self.name())),
        }
    }

    fn waits_for(&self, snapshot: &Snapshot) -> Option<String> {
        // Nothing else waits, and the table need not be asked.
        if snapshot.phase != Phase::Starting {
            return None;
        }
        let shortage = self.handle.client.shortage();
        let of_peer = || snapshot.waits_for_peer.clone();
        shortage.map(|it| it.to_string()).or_else(of_peer)
    }

    /// Follows the changes of its phase and of who started the server, from now on.
    #[must_use]
    pub fn watch(&self) -> StatusWatch {
        StatusWatch {
            service: self.clone(),
            snapshots: self.handle.client.board.snapshot.subscribe(),
        }
    }

    /// What the service writes: the last lines that are kept, and then each one that is written.
    ///
    /// A reader that is slow delays nothing: it finds out how many lines it has [missed](crate::Line::missed).
    ///
    /// # Example
    ///
    /// See [`Output::next`].
    #[must_use]
    pub fn output(&self) -> Output {
        Output::of(self.handle.clone())
    }

    /// The last 256 events, oldest first, for bug reports. Probes in a row that saw the same are one
    /// event.
    /// # Example
    ///
    /// ```
    /// use tower_local_service::LocalService;
    ///
    /// fn report(llama: &LocalService) {
    ///     for record in llama.journal() {
    ///         eprintln!("{record}");
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn journal(&self) -> Vec<Record> {
        self.handle
            .client
            .board
            .journal
            .records(self.handle.instances.now())
    }

    /// The current instance; while there is none, the next one.
    #[cfg(feature = "retry")]
    pub(crate) fn next_instance(&self) -> u64 {
        self.handle.instances.leases.word().instance()
    }

    /// Whether this instance has ended, or its server is gone and that was not noticed yet. Asks the
    /// operating system; never waits.
    #[cfg(feature = "retry")]
    pub(crate) fn has_lost(&self, instance: u64) -> bool {
        let pid = self.handle.client.board.snapshot.borrow().pid;
        self.next_instance() != instance
            || pid.is_some_and(|pid| !process::is_running(pid))
            || probe::refuses(&self.settings().target)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.handle.attached.settings
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.handle.client
    }

    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        self.handle.error(kind)
    }

    /// Whether the other is a clone of this handle.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }

    /// Whether it is the handle with this number of that client.
    pub(crate) fn is_handle(&self, id: u64, client: &Arc<Client>) -> bool {
        self.handle.id == id && Arc::ptr_eq(self.client(), client)
    }

    #[inline]
    pub(crate) fn is_shut_down(&self) -> bool {
        self.handle.is_shut_down()
    }

    /// Gives out no new leases, and fails the requests that wait for one.
    pub(crate) fn shut_down(&self) {
        self.handle.shut_down();
    }
}

impl fmt::Debug for LocalService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalService")
            .field("name", &self.name())
            .field("base", &self.settings().base)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Follows the phase of a [`LocalService`].
///
/// # Example
///
/// ```
/// use tower_local_service::{LocalService, Phase};
///
/// async fn until_stopped_or_failed(service: &LocalService) {
///     // The watch first, so that no change between the two is missed.
///     let mut watch = service.watch();
///     let mut status = service.status();
///     while !matches!(status.phase, Phase::Stopped | Phase::Failed) {
///         status = watch.changed().await;
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct StatusWatch {
    service: LocalService,
    snapshots: watch::Receiver<Snapshot>,
}

impl StatusWatch {
    /// Resolves when the phase or the ownership has changed since the last call. Changes that follow
    /// each other quickly may be reported as one. A lease is no change.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no change is lost.
    pub async fn changed(&mut self) -> Status {
        if self.snapshots.changed().await.is_err() {
            // Cannot happen: the handle, which lives, has the sender.
            std::future::pending::<()>().await;
        }
        let snapshot = self.snapshots.borrow_and_update().clone();
        self.service.status_of(snapshot)
    }
}
