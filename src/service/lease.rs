//! One use in progress.

use std::{
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::oneshot;

use super::handle::LocalService;
use crate::{
    error::{BoxError, Error, ErrorKind},
    leases::{Outcome, PastInstance, wakers::Place},
    machine::InstanceEnd,
};

/// One use of a [`LocalService`] in progress: while it is held, the process is stopped by nothing
/// but [`stop`](LocalService::stop), a shutdown, or its own death.
///
/// A response body holds one until it ends. Take one by hand with
/// [`acquire`](LocalService::acquire), for whatever does not go through the layer.
///
/// A clone is a use of its own. Dropping a lease is harmless anywhere: outside a runtime, on any
/// thread, while unwinding.
pub struct Lease {
    service: LocalService,
    run: u64,
    outcome: Outcome,
    waited: Duration,
}

impl Lease {
    #[inline]
    pub(super) fn new(service: LocalService, run: u64, waited: Duration) -> Self {
        // Nobody tells us how a use by hand went.
        Self {
            service,
            run,
            outcome: Outcome::ByHand,
            waited,
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
        self.run
    }

    /// The request is sent; from now on it counts what becomes of it.
    #[inline]
    pub(crate) fn begin(mut self) -> Self {
        self.outcome = Outcome::Unanswered;
        self
    }

    /// How far the response has come for which it is held.
    pub(crate) fn reached(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Makes the next request ask first whether the server still lives.
    pub(crate) fn suspect(&self) {
        self.service.instances().leases.suspect(self.run);
    }

    /// Our error, if the run was stopped under the lease.
    #[inline]
    pub(crate) fn stopped(&self) -> Option<Error> {
        let ended = self.service.instances().end_of(self.run)?;
        (ended.end == InstanceEnd::Stopped).then(|| self.service.error(ErrorKind::Stopped {}))
    }

    /// Our error, if no response can come any more, whatever the client still waits for.
    fn unanswerable(&self) -> Option<Error> {
        let ended = self.service.instances().end_of(self.run)?;
        match ended.end {
            InstanceEnd::Stopped => self.stopped(),
            InstanceEnd::Died if ended.answers_over => Some(self.death().cut_off()),
            _ => None,
        }
    }

    /// Asks whether the run goes on.
    pub(crate) fn confirm(&self) -> oneshot::Receiver<bool> {
        self.service.client().confirm(self.run)
    }

    /// What the run died of, for a request or a body that was cut off by it.
    pub(crate) fn death(&self) -> Error {
        let kind = match self.service.instances().end_of(self.run) {
            Some(PastInstance {
                end: InstanceEnd::Stopped,
                ..
            }) => ErrorKind::Stopped {},
            Some(PastInstance { code, signal, .. }) => ErrorKind::Exited { code, signal },
            None => ErrorKind::Exited {
                code: None,
                signal: None,
            },
        };
        self.service.error(kind)
    }
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        // Of a run that is over there is nothing to count.
        self.service.instances().leases.take_another(self.run);
        let Self {
            service,
            run,
            outcome,
            waited,
        } = self;
        Self {
            service: service.clone(),
            run: *run,
            outcome: *outcome,
            waited: *waited,
        }
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        // Only counts, and wakes the supervisor at most: never blocks, spawns or panics.
        self.service.instances().give_back(self.run, self.outcome);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("service", &self.service.name())
            .field("run", &self.run)
            .field("waited", &self.waited)
            .finish_non_exhaustive()
    }
}

/// Wakes whoever waits for the server when its run is over.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    // Taken only once there is something to wait for.
    place: Option<Place>,
}

impl Watch {
    /// For a body: our error, if the run was stopped; otherwise wakes the task when it is.
    pub(crate) fn poll_stopped(&mut self, lease: &Lease, cx: &Context<'_>) -> Poll<Error> {
        self.wait(lease, cx);
        lease.stopped().map_or(Poll::Pending, Poll::Ready)
    }

    /// For a response: our error, if none can come any more; otherwise wakes the task when that is so.
    /// Without a lease, the server is none of ours.
    ///
    /// A client may wait for ever on a server that has died: hyper forgets a request that is handed to a
    /// connection in the instant in which that closes (<https://github.com/hyperium/hyper/issues/4122>).
    pub(crate) fn poll_unanswerable<T>(
        &mut self,
        lease: Option<&Lease>,
        cx: &Context<'_>,
    ) -> Poll<Result<T, BoxError>> {
        let Some(lease) = lease else {
            return Poll::Pending;
        };
        self.wait(lease, cx);
        let error = lease.unanswerable();
        error.map_or(Poll::Pending, |error| Poll::Ready(Err(error.into())))
    }

    /// Comes before the look, so that no end falls between the two.
    fn wait(&mut self, lease: &Lease, cx: &Context<'_>) {
        let place = self
            .place
            .get_or_insert_with(|| lease.service.instances().over.place());
        place.wait(cx);
    }
}
