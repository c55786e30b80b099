//! The handle that users hold.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{instance::Core, lease::Lease, status::Status};
use crate::{
    config::Settings,
    error::{Error, ErrorKind},
    machine::{Record, Want},
    supervisor::{
        shared::{Attached, Grant, Shared, Snapshot},
        trace,
    },
};
#[cfg(feature = "retry")]
use crate::{launch::process, probe};

/// One configured local server: a handle that is cheap to clone.
///
/// Handles with the same command, arguments, working directory, environment and endpoint are handles
/// of one process, whatever their names and registries: the times configured for the longest count
/// for it, and its leases are counted together.
///
/// The service lives as long as its [`Registry`](crate::Registry) or anything that holds a handle: a
/// layer, a future, a lease. With the last of them the process is stopped.
#[derive(Clone)]
pub struct LocalService {
    handle: Arc<Handle>,
}

struct Handle {
    id: u64,
    attached: Attached,
    core: Arc<Core>,
    is_shut_down: AtomicBool,
}

impl LocalService {
    pub(crate) fn attach(name: String, settings: Arc<Settings>, core: Arc<Core>) -> Self {
        let attached = Attached { name, settings };
        let id = core.attach(attached.clone());
        let is_shut_down = AtomicBool::new(false);
        Self {
            handle: Arc::new(Handle {
                id,
                attached,
                core,
                is_shut_down,
            }),
        }
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.handle.attached.name
    }

    /// Makes sure that the server runs and is ready, and takes a lease on it.
    ///
    /// # Errors
    ///
    /// What kept the server from being ready; see [`ErrorKind`](crate::ErrorKind).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the start to itself: it goes on, and the next call finds it
    /// further along. No lease is lost.
    pub async fn acquire(&self) -> Result<Lease, Error> {
        if let Some(lease) = self.try_acquire() {
            return Ok(lease);
        }
        let begun = Instant::now();
        let granted = self.ask(Want::Lease).await;
        let waited = begun.elapsed();
        trace::waited(self.name(), waited, granted.as_ref().err());
        match granted? {
            Some(grant) => Ok(Lease::new(self.clone(), grant.accept(), waited)),
            None => Err(self.error(ErrorKind::ShutDown {})),
        }
    }

    /// Takes a lease if the server is ready, without waiting, probing or starting anything. `None` also
    /// when it was so long silent ([`recheck`](crate::LocalServiceConfig::recheck)) that the next use
    /// has to ask first whether it still lives.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Lease> {
        let run = self.take()?;
        Some(Lease::new(self.clone(), run, Duration::ZERO))
    }

    /// The same without a clone of the handle.
    #[inline]
    pub(crate) fn try_into_lease(self) -> Result<Lease, Self> {
        match self.take() {
            Some(run) => Ok(Lease::new(self, run, Duration::ZERO)),
            None => Err(self),
        }
    }

    #[inline]
    fn take(&self) -> Option<u64> {
        if self.is_shut_down() {
            return None;
        }
        self.shared().leases.take()
    }

    /// Starts the server ahead of the first request, and waits until it is ready. No lease is kept:
    /// the idle time begins. Clears the back-off of earlier failures.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the start to itself.
    pub async fn start(&self) -> Result<(), Error> {
        self.ask(Want::Start).await.map(drop)
    }

    /// Whether a lease could be taken.
    pub(crate) fn is_ready(&self) -> bool {
        let word = self.shared().leases.word();
        word.is_open() && !word.is_suspect()
    }

    /// Without a lease, and without forgiving earlier failures.
    pub(crate) async fn wait_until_ready(&self) -> Result<(), Error> {
        self.ask(Want::Readiness).await.map(drop)
    }

    async fn ask(&self, want: Want) -> Result<Option<Grant>, Error> {
        let Handle {
            id, attached, core, ..
        } = &*self.handle;
        if self.is_shut_down() {
            return Err(self.error(ErrorKind::ShutDown {}));
        }
        let answer = core.ask(*id, attached, want).await;
        answer.map_err(|error| error.named(self.name()))
    }

    /// Stops the process now, whatever leases are out: their bodies end with our error. The next
    /// request starts it again, and so does a request that waits already. Clears the back-off.
    ///
    /// Resolves when nothing of the process is left, or at once where nothing of ours runs: a server
    /// that we did not start is never stopped.
    ///
    /// # Errors
    ///
    /// [`Unkillable`](crate::ErrorKind::Unkillable) if the process survived SIGKILL.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the stop goes on without the future.
    pub async fn stop(&self) -> Result<(), Error> {
        let stopped = self.handle.core.stop().await;
        stopped.map_err(|error| error.named(self.name()))
    }

    /// What it is doing, as of now: counters are live, times are ages. Never waits.
    #[must_use]
    pub fn status(&self) -> Status {
        let snapshot = self.shared().snapshot.borrow().clone();
        self.status_of(snapshot)
    }

    fn status_of(&self, snapshot: Snapshot) -> Status {
        let (now, leases) = (self.shared().now(), &self.shared().leases);
        let word = leases.word();
        let up_for = snapshot.ready_since.map(|since| now.saturating_sub(since));
        let is_idle = up_for.is_some() && word.count() == 0;
        Status {
            phase: snapshot.phase,
            ownership: snapshot.ownership,
            pid: snapshot.pid,
            leases: word.count(),
            waiters: snapshot.waiters,
            up_for,
            idle_for: is_idle.then(|| now.saturating_sub(leases.idle_since())),
            starts: snapshot.starts,
            last_error: snapshot.last_error.map(|error| error.named(self.name())),
        }
    }

    /// Follows the changes of its phase, from now on.
    #[must_use]
    pub fn watch(&self) -> StatusWatch {
        StatusWatch {
            service: self.clone(),
            snapshots: self.shared().snapshot.subscribe(),
        }
    }

    /// What has happened lately, oldest first: up to 256 events, in which probes that saw the same are
    /// one. For bug reports.
    #[must_use]
    pub fn journal(&self) -> Vec<Record> {
        self.shared().journal.records(self.shared().now())
    }

    /// The run that goes on; while nothing runs, the next one.
    #[cfg(feature = "retry")]
    pub(crate) fn run_to_come(&self) -> u64 {
        self.shared().leases.word().run()
    }

    /// Whether that run is over, or its server gone without that we know it. Asks the system, and does
    /// not wait for anything.
    #[cfg(feature = "retry")]
    pub(crate) fn has_lost(&self, run: u64) -> bool {
        let pid = self.shared().snapshot.borrow().pid;
        self.run_to_come() != run
            || pid.is_some_and(|pid| !process::is_running(pid))
            || probe::refuses(&self.settings().target)
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.handle.attached.settings
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.handle.core
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.handle.core.shared
    }

    pub(crate) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.name(), kind)
    }

    /// Whether the other is a clone of this handle.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.handle, &other.handle)
    }

    /// Whether it is the handle that this core knows by the number.
    pub(crate) fn is_handle(&self, id: u64, core: &Arc<Core>) -> bool {
        self.handle.id == id && Arc::ptr_eq(self.core(), core)
    }

    #[inline]
    pub(crate) fn is_shut_down(&self) -> bool {
        self.handle.is_shut_down.load(SeqCst)
    }

    /// Gives out no new leases, and sends away who waits for one.
    pub(crate) fn shut_down(&self) {
        self.handle.is_shut_down.store(true, SeqCst);
        self.handle.core.detach(self.handle.id);
        self.handle.core.dismiss(self.handle.id);
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

impl Drop for Handle {
    fn drop(&mut self) {
        self.core.detach(self.id);
    }
}

/// Follows the phase of a [`LocalService`].
///
/// # Example
///
/// ```
/// use tower_local_service::{LocalService, Phase};
///
/// async fn until_it_rests(service: &LocalService) {
///     // The watch first, so that no change is missed between the two.
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
    /// Resolves when the phase, or who started the server, is another than when last told. Changes
    /// that come quickly may be told as one; single leases are none.
    ///
    /// # Cancel safety
    ///
    /// No change is lost.
    pub async fn changed(&mut self) -> Status {
        if self.snapshots.changed().await.is_err() {
            // Not while the handle lives, which holds the sender.
            std::future::pending::<()>().await;
        }
        let snapshot = self.snapshots.borrow_and_update().clone();
        self.service.status_of(snapshot)
    }
}
