//! What other host processes have to do with our run: they may use our server, and we theirs.
//!
//! To the state machine a use of our server by another host is one more lease. A use of theirs begins
//! with a look at their server, lasts for as long as leases may be taken without one, and ends with
//! the last of those.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Supervisor;
use crate::{
    leases::word::Word,
    machine::{End, Ownership, Phase, Sight, Time},
    resources::peers::Hosts,
    supervisor::{Backend, shared::Shared},
};

/// How long leases on another host's server are taken without a look at it. No shorter than the pause
/// between two checks, in which the state machine grants leases whatever is suspected.
const BORROWED: Duration = Duration::from_secs(1);

impl<B: Backend> Supervisor<B> {
    pub(super) fn share(&mut self, ownership: Ownership) {
        match ownership {
            Ownership::Owned => self.hosts.admit(),
            Ownership::External => self.borrow_for_a_while(),
        }
    }

    pub(super) fn share_no_more(&mut self, end: End) {
        self.hosts.admit_no_more();
        if end == End::Died {
            self.hosts.condemn();
        }
        self.lent_since = None;
    }

    /// Gives the endpoint back; what is used goes on to be used.
    pub(super) fn release(&mut self) {
        self.ticket = None;
        if self.state.phase() != Phase::Ready {
            self.borrowed_until = None;
            self.hosts.stop_using(self.idle_for());
        }
    }

    /// How many leases keep our server from being stopped.
    pub(super) fn leases_out(&self) -> usize {
        match self.shared.leases.word().count() {
            0 => usize::from(self.is_lent()),
            out => out,
        }
    }

    fn is_lent(&self) -> bool {
        self.state.phase() == Phase::Ready && self.hosts.others_use()
    }

    /// What a look at our own leases says, with those in other hosts.
    pub(super) fn with_other_hosts(&mut self, out: usize, idle_since: Time) -> (usize, Time) {
        self.return_if_unused(out);
        // While one is out here, another says nothing new.
        if out > 0 || !self.is_lent() {
            self.lent_since = None;
            let used_before = self.hosts.used_before().filter(|_| out == 0);
            let used = used_before.map(|before| self.shared.now().saturating_sub(before));
            return (out, idle_since.max(used.unwrap_or_default()));
        }
        self.lent_since.get_or_insert_with(Instant::now);
        (1, idle_since)
    }

    /// The other host's server was seen, and is kept from being stopped.
    pub(super) fn borrow_for_a_while(&mut self) {
        self.borrowed_until = self.hosts.uses().then(|| Instant::now() + BORROWED);
    }

    /// From now on no lease is taken without a look, so that the use can end.
    pub(super) fn borrowed_long_enough(&mut self) {
        self.borrowed_until = None;
        self.shared.leases.update(Word::suspect);
        let out = self.shared.leases.look();
        self.return_if_unused(out);
    }

    fn return_if_unused(&self, out: usize) {
        let is_kept = out > 0 || self.borrowed_until.is_some() || self.probe.is_some();
        if !is_kept && self.hosts.uses() {
            self.hosts.stop_using(self.idle_for());
        }
    }

    fn idle_for(&self) -> Duration {
        let idle_since = self.shared.leases.idle_since();
        self.shared.now().saturating_sub(idle_since)
    }

    /// How to look at the server: one that may be another host's is looked at with care.
    pub(super) fn other_hosts_look(&self) -> Look {
        let hosts = self.hosts.clone();
        if self.state.ownership() == Some(Ownership::External) {
            Look::Again(hosts, self.shared.clone())
        } else {
            Look::First(hosts)
        }
    }
}

pub(super) enum Look {
    /// At what is there; what is ours is looked at as it is.
    First(Arc<Hosts>),
    /// At what somebody else started.
    Again(Arc<Hosts>, Arc<Shared>),
}

impl Look {
    /// What was seen, and how long the last probe took.
    pub(super) async fn take<F: Future<Output = Sight>>(
        self,
        probe: impl Fn() -> F,
    ) -> (Sight, Duration) {
        match self {
            Self::First(hosts) => hosts.first_look(probe).await,
            Self::Again(hosts, shared) => {
                hosts
                    .look_again(|| shared.leases.word().count(), probe)
                    .await
            }
        }
    }
}
