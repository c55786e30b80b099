//! The side of the service: its place in the table.

use std::{
    fmt, mem,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Said, Shortage, Standing, Table};
use crate::{
    config::{Needs, Turn},
    resources::{peers, plan::Id},
};

/// The place of a service in the table; dropping it gives back what it has.
pub(crate) struct Place {
    pub(super) table: Arc<Table>,
    id: Id,
    said: watch::Receiver<Said>,
    next: watch::Receiver<Option<Instant>>,
}

/// What a service has to do with the services of other programs, beside the addresses.
#[derive(Debug, Default)]
pub(in crate::resources) struct Contacts {
    /// Where peers ask for what it has.
    pub(in crate::resources) bell: Option<PathBuf>,
    /// Where peers are asked for what they have.
    pub(in crate::resources) ring: Vec<PathBuf>,
    /// It waits, and this is the longest pause between two tries.
    pub(in crate::resources) tries: Option<Duration>,
}

impl Place {
    pub(super) fn new(
        table: Arc<Table>,
        id: Id,
        said: watch::Receiver<Said>,
        next: watch::Receiver<Option<Instant>>,
    ) -> Self {
        Self {
            table,
            id,
            said,
            next,
        }
    }

    /// What the table says; `changed` resolves when it says something else.
    pub(in crate::resources) fn said(&self) -> Said {
        *self.said.borrow()
    }

    /// Resolves when the table may say something new. Cancel safe.
    pub(in crate::resources) async fn changed(&mut self) {
        let is_waiting = self.said().waits;
        let next = self.next.borrow_and_update().filter(|_| is_waiting);
        // The senders live as long as the table that this place holds.
        tokio::select! {
            _ = self.said.changed() => {}
            _ = self.next.changed(), if is_waiting => {}
            () = turn_ends(next) => self.replan(None),
        }
    }

    /// How the service stands now. The caller has its gate.
    pub(crate) fn report(&self, standing: Standing, is_pinned: bool, turn: Turn) {
        let mut state = self.table.lock();
        let now = state.stamp();
        let Some(entry) = state.entries.get_mut(&self.id) else {
            return;
        };
        let is_news = (entry.standing, entry.is_pinned, entry.turn) != (standing, is_pinned, turn);
        let was_busy = mem::take(&mut entry.was_busy);
        if entry.standing.is_polite() && !standing.is_polite() && entry.waits.is_some() {
            // Requests wait from now on. What waited before them kept none waiting, and overtakes none.
            entry.waits = Some(now);
        }
        let waits = entry.waits.is_some();
        let serves = |it| matches!(it, Standing::Serves { .. });
        if serves(standing) && !serves(entry.standing) {
            entry.served_since = Instant::now();
        }
        (entry.standing, entry.is_pinned, entry.turn) = (standing, is_pinned, turn);
        if is_news || waits || was_busy {
            self.table.replan(&mut state, Some(self.id));
        }
    }

    /// Waits for this beside the addresses. It is planned with the next report.
    pub(crate) fn want(&self, needs: Needs) {
        let mut state = self.table.lock();
        let since = state.stamp();
        if let Some(entry) = state.entries.get_mut(&self.id)
            && !entry.said.borrow().has_room
        {
            entry.needs = needs;
            entry.waits = Some(entry.waits.unwrap_or(since));
            entry.said.send_modify(|said| said.waits = true);
        }
    }

    /// No lease is out, and another service waits. The caller has the gate.
    pub(crate) fn offer(&self) {
        self.replan(Some(self.id));
    }

    /// A peer waits for the address, or does not any more.
    pub(in crate::resources) fn ring(&self, is_rung: bool) {
        let mut state = self.table.lock();
        let since = state.stamp();
        if let Some(entry) = state.entries.get_mut(&self.id)
            && entry.rung.is_some() != is_rung
        {
            entry.rung = is_rung.then_some(since);
            self.table.replan(&mut state, None);
        }
    }

    pub(in crate::resources) fn contacts(&self) -> Contacts {
        let state = self.table.lock();
        let Some(entry) = state.entries.get(&self.id) else {
            return Contacts::default();
        };
        let is_polite = entry.standing.is_polite();
        let wants = entry.wants_room() && state.between.has_peers();
        let longest = if is_polite {
            peers::PATIENTLY
        } else {
            peers::EAGERLY
        };
        Contacts {
            bell: state.between.bell_of(self.id).filter(|_| entry.has_room()),
            ring: if wants && !is_polite {
                state.between.to_ask()
            } else {
                Vec::new()
            },
            tries: wants.then_some(longest),
        }
    }

    /// A peer waits for what this service has, or does not any more. If that is no news, it is planned again after
    /// that time.
    pub(in crate::resources) fn contend(&self, is_contended: bool, pause: Duration) {
        let mut state = self.table.lock();
        let has_met = state.has_met_within(pause);
        if let Some(entry) = state.entries.get_mut(&self.id) {
            let is_news = mem::replace(&mut entry.is_contended, is_contended) != is_contended;
            if is_news || !has_met {
                self.table.replan(&mut state, None);
            }
        }
    }

    /// Tries again to have what the service waits for, unless the programs have met within that time: what one service
    /// finds out counts for all of its program.
    pub(in crate::resources) fn try_again(&self, pause: Duration) {
        let mut state = self.table.lock();
        if !state.has_met_within(pause) {
            self.table.replan(&mut state, None);
        }
    }

    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.table.lock().shortage(self.id)
    }

    fn replan(&self, me: Option<Id>) {
        let mut state = self.table.lock();
        self.table.replan(&mut state, me);
    }
}

async fn turn_ends(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        state.entries.remove(&self.id);
        state.between.leave(self.id);
        let mut replan = || self.table.replan(&mut state, None);
        if thread::panicking() {
            // Its task ends by a panic, perhaps that of a plan. A second one at the same time would end the program.
            drop(panic::catch_unwind(AssertUnwindSafe(replan)));
        } else {
            replan();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("id", &self.id)
            .field("said", &self.said())
            .finish_non_exhaustive()
    }
}
