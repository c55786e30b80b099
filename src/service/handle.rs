//! A handle of a service: what its clones and their leases share.
//!
//! Where the configuration of a service is replaced, another handle takes the place of the former one. A start of a former
//! configuration is of no use once its successor is asked for, even if requests wait for it. Those requests are served by
//! the successor where it has the same origin: their URLs are right for it, too.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use super::succession::Succession;
use crate::{
    config::same_origin,
    error::{Error, ErrorKind},
    leases::Instances,
    supervisor::{Attached, Client},
};

pub(super) struct Handle {
    /// The number by which the supervisor knows it.
    pub(super) id: u64,
    pub(super) attached: Attached,
    pub(super) client: Arc<Client>,
    // Those of the client: a request needs one step less to them.
    pub(super) instances: Arc<Instances>,
    succession: Succession<Self>,
    is_shut_down: AtomicBool,
}

impl Handle {
    pub(super) fn attach(attached: Attached, client: Arc<Client>) -> Self {
        Self {
            id: client.attach(attached.clone()),
            attached,
            instances: client.instances.clone(),
            client,
            succession: Succession::default(),
            is_shut_down: AtomicBool::new(false),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.attached.name
    }

    /// Takes a lease if the server is ready, and returns the number of the instance that it counts on.
    #[inline]
    pub(super) fn take(&self) -> Option<u64> {
        if self.is_shut_down() {
            return None;
        }
        self.instances.leases.take()
    }

    #[inline]
    pub(super) fn is_shut_down(&self) -> bool {
        self.is_shut_down.load(SeqCst)
    }

    /// Gives out no new leases, and fails the requests that wait for one.
    pub(super) fn shut_down(&self) {
        self.is_shut_down.store(true, SeqCst);
        self.client.detach(self.id);
        self.client.dismiss(self.id);
    }

    /// Dismisses the requests that wait through this handle, and ends a start that no other handle asked for.
    fn give_up(&self) {
        self.client.dismiss(self.id);
        self.client.retire_unless_needed(|handle| handle == self.id);
    }

    /// The next configuration of the service is that of `next`.
    pub(super) fn replaced_by(self: &Arc<Self>, next: &Arc<Self>) {
        self.succession.continue_with(self, next, &next.succession);
    }

    /// It is asked for: if it is the latest one, the starts of the former configurations end.
    pub(super) fn take_over(self: &Arc<Self>) {
        let former = self.succession.take_former(self).into_iter();
        // A handle of the same process has only other times or another probe.
        let others = former.filter(|former| !Arc::ptr_eq(&former.client, &self.client));
        others.for_each(|former| former.give_up());
    }

    /// The handle that serves the requests of this one: the latest one if it can, or else this one.
    pub(super) fn latest(self: &Arc<Self>) -> Arc<Self> {
        let latest = self.succession.latest();
        let latest = latest.filter(|latest| self.is_served_by(latest));
        latest.unwrap_or_else(|| self.clone())
    }

    /// Whether requests for this one are right for the other, too.
    fn is_served_by(&self, next: &Self) -> bool {
        same_origin(&self.attached.settings.base, &next.attached.settings.base)
    }

    /// Whether the configuration was replaced, and requests were dismissed for that.
    pub(super) fn has_dismissed_for_successor(&self, error: &Error) -> bool {
        let dismissed = matches!(error.kind(), ErrorKind::ShutDown {} | ErrorKind::Stopped {});
        dismissed && self.succession.has_line()
    }

    pub(super) fn error(&self, kind: ErrorKind) -> Error {
        Error::new(self.name(), kind)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.client.detach(self.id);
    }
}
