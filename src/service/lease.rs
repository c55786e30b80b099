//! A lease: one use of a service in progress, which keeps its instance running.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::oneshot;

use super::handle::Handle;
use crate::{
    error::{Error, ErrorKind},
    leases::{
        Outcome, PastInstance,
        wakers::{Registration, Wakers},
    },
    machine::InstanceEnd,
};

/// One use of a [`LocalService`](crate::LocalService) in progress: while it is held, nothing stops the process but
/// [`stop`](crate::LocalService::stop), a shutdown, or its own death.
///
/// A response body holds one until it ends. Take one by hand with
/// [`acquire`](crate::LocalService::acquire), for a use that does not go through the layer.
///
/// A clone is a use of its own. Dropping a lease is harmless anywhere: outside of a runtime, on any
/// thread, while unwinding.
/// # Example
///
/// A lease for a connection that outlives its request:
///
/// ```
/// use tower_local_service::{Error, Lease, LocalService};
///
/// struct Session {
///     socket: std::net::TcpStream,
///     // The server runs for as long as the session.
///     _lease: Lease,
/// }
///
/// async fn open(llama: &LocalService) -> Result<Session, Box<dyn std::error::Error>> {
///     let lease = llama.acquire().await?;
///     let socket = std::net::TcpStream::connect("127.0.0.1:8080")?;
///     Ok(Session { socket, _lease: lease })
/// }
/// ```
pub struct Lease {
    handle: Arc<Handle>,
    instance: u64,
    outcome: Outcome,
    waited: Duration,
    /// Its registration among the wakers of the instance, made once there is something to wait for. The
    /// future of the response and its body share it.
    registration: Option<Registration>,
}

impl Lease {
    #[inline]
    pub(super) fn new(handle: Arc<Handle>, instance: u64, waited: Duration) -> Self {
        Self {
            handle,
            instance,
            // How a use by hand goes is not known.
            outcome: Outcome::ByHand,
            waited,
            registration: None,
        }
    }

    /// How long it took to get the lease; zero if the server was ready.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The number of the instance that it counts on. Each start of the process is another instance.
    #[must_use]
    pub fn instance(&self) -> u64 {
        self.instance
    }

    /// Resolves when the instance has died or was stopped, and says which: for a use that would not notice
    /// by itself, such as a WebSocket or a file that the server writes.
    ///
    /// # Cancel safety
    ///
    /// It only looks. You may drop it at any time and call it again: an end is not missed in between.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::{Error, LocalService};
    ///
    /// async fn use_it(service: &LocalService, work: impl Future<Output = ()>) -> Result<(), Error> {
    ///     let lease = service.acquire().await?;
    ///     tokio::select! {
    ///         () = work => Ok(()),
    ///         error = lease.ended() => Err(error),
    ///     }
    /// }
    /// ```
    pub async fn ended(&self) -> Error {
        let mut waiting = Waiting {
            wakers: &self.handle.instances.over,
            registration: None,
        };
        poll_fn(|cx| {
            // First, so that no end falls between the two.
            waiting.wakers.wait(&mut waiting.registration, cx);
            match self.end() {
                Some(ended) if matches!(ended.end, InstanceEnd::Died | InstanceEnd::Stopped) => {
                    Poll::Ready(self.death())
                }
                _ => Poll::Pending,
            }
        })
        .await
    }

    /// The request is sent; from now on it counts what becomes of it.
    #[inline]
    pub(crate) fn begin(mut self) -> Self {
        self.outcome = Outcome::Unanswered;
        self
    }

    /// How far the response has come for which it is held.
    #[inline]
    pub(crate) fn reached(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// No future or body polls it from now on, so no task is woken any more: for a lease that is held by hand.
    #[inline]
    pub(crate) fn forget_task(&mut self) {
        self.handle.instances.over.leave(&mut self.registration);
    }

    /// Makes the next request look first whether the server still lives.
    pub(crate) fn suspect(&self) {
        self.handle.instances.leases.suspect(self.instance);
    }

    /// Our error, if the instance was stopped under the lease.
    #[inline]
    pub(crate) fn stopped(&self) -> Option<Error> {
        let ended = self.end()?;
        (ended.end == InstanceEnd::Stopped).then(|| self.handle.error(ErrorKind::Stopped {}))
    }

    /// For a body: our error, if the instance was stopped; otherwise wakes the task when it is.
    pub(crate) fn poll_stopped(&mut self, cx: &Context<'_>) -> Poll<Error> {
        // First, so that no end falls between the two.
        self.wait(cx);
        self.stopped().map_or(Poll::Pending, Poll::Ready)
    }

    /// Asks whether the instance still runs.
    pub(crate) fn confirm(&self) -> oneshot::Receiver<bool> {
        self.handle.client.confirm(self.instance)
    }

    /// Asks to hear when the instance would be known to have died by now.
    pub(super) fn broken_off(&self) -> oneshot::Receiver<()> {
        self.handle.client.broken_off(self.instance)
    }

    /// What the instance died of, for a request or a body that was cut off by it.
    pub(crate) fn death(&self) -> Error {
        let kind = match self.end() {
            Some(PastInstance {
                end: InstanceEnd::Stopped,
                ..
            }) => ErrorKind::Stopped {},
            Some(PastInstance {
                death: Some(error), ..
            }) => return error.named(self.handle.name()),
            Some(PastInstance { code, signal, .. }) => ErrorKind::Exited { code, signal },
            None => ErrorKind::Exited {
                code: None,
                signal: None,
            },
        };
        self.handle.error(kind)
    }

    /// How the instance ended; `None` while it runs.
    #[inline]
    pub(super) fn end(&self) -> Option<PastInstance> {
        self.handle.instances.end_of(self.instance)
    }

    /// Wakes the task when the instance ends.
    #[inline]
    pub(super) fn wait(&mut self, cx: &Context<'_>) {
        self.handle.instances.over.wait(&mut self.registration, cx);
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        let Self {
            handle,
            instance,
            outcome,
            waited,
            registration: _,
        } = self;
        // There is nothing to count of an instance that has ended.
        handle.instances.leases.take_another(*instance);
        Self {
            handle: handle.clone(),
            instance: *instance,
            outcome: *outcome,
            waited: *waited,
            registration: None,
        }
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        // Only counts, and wakes the supervisor at most: never blocks, spawns or panics.
        self.handle.instances.give_back(self.instance, self.outcome);
        self.forget_task();
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("service", &self.handle.name())
            .field("instance", &self.instance)
            .field("waited", &self.waited)
            .finish_non_exhaustive()
    }
}

/// Ends its registration when dropped.
struct Waiting<'a> {
    wakers: &'a Wakers,
    registration: Option<Registration>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.wakers.leave(&mut self.registration);
    }
}
