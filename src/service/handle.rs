//! A handle of a service: what its clones and their leases share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use super::succession::Succession;
use crate::{
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
    pub(super) succession: Succession,
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
    pub(super) fn give_up(&self) {
        self.client.dismiss(self.id);
        self.client.retire_unless_needed(|handle| handle == self.id);
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
