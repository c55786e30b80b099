//! What the supervisor and the handles of its service share without a message: settings, snapshots, the journal.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use tokio::sync::watch;

use crate::{
    config::{Settings, Share},
    error::Error,
    launch::{Guarantees, OutputSink},
    machine::{Journal, Ownership, Phase, Policy, Time},
    resources::Gate,
};

pub(crate) struct Board {
    pub(crate) snapshot: watch::Sender<Snapshot>,
    pub(crate) journal: Journal,
    /// The number of the last instance that was started, and what it writes.
    pub(crate) written: watch::Sender<Option<(u64, OutputSink)>>,
    /// How many tasks of the service have ended by a panic.
    pub(crate) panics: AtomicU64,
    handles: Mutex<BTreeMap<u64, Attached>>,
    /// By which the service is known where services wait for each other.
    pub(super) gate: Arc<Gate>,
}

/// A handle, as the supervisor knows it.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    pub(crate) name: String,
    pub(crate) settings: Arc<Settings>,
}

/// What the supervisor says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) phase: Phase,
    pub(crate) ownership: Option<Ownership>,
    pub(crate) pid: Option<u32>,
    /// Of the owned instance, while there is one.
    pub(crate) guarantees: Option<Guarantees>,
    pub(crate) waiters: usize,
    /// The address that it waits for and a peer has, as text.
    pub(crate) waits_for_peer: Option<String>,
    pub(crate) ready_since: Option<Time>,
    /// Since when the start under way takes, if one is.
    pub(crate) loading_since: Option<Time>,
    pub(crate) starts: u64,
    pub(crate) last_error: Option<Error>,
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board")
            .field("snapshot", &self.snapshot)
            .field("journal", &self.journal)
            .field("handles", &self.handles)
            .finish_non_exhaustive()
    }
}

impl Board {
    pub(crate) fn new() -> Self {
        let snapshot = Snapshot {
            phase: Phase::Stopped,
            ownership: None,
            pid: None,
            guarantees: None,
            waiters: 0,
            waits_for_peer: None,
            ready_since: None,
            loading_since: None,
            starts: 0,
            last_error: None,
        };
        Self {
            snapshot: watch::Sender::new(snapshot),
            journal: Journal::default(),
            written: watch::Sender::new(None),
            panics: AtomicU64::new(0),
            handles: Mutex::default(),
            gate: Arc::default(),
        }
    }

    pub(crate) fn handles(&self) -> MutexGuard<'_, BTreeMap<u64, Attached>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What all handles need together.
    pub(super) fn share(&self) -> Option<Share> {
        let handles = self.handles();
        let mut shares = handles.values().map(|handle| &handle.settings.share);
        let first = shares.next()?.clone();
        Some(shares.fold(first, Share::largest))
    }

    /// The longest times of all handles.
    pub(crate) fn policy(&self) -> Option<Policy> {
        let handles = self.handles();
        handles
            .values()
            .map(|handle| handle.settings.policy)
            .reduce(Policy::longest)
    }
}
