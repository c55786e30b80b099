//! The address of the service: its claim, and the peers that use the server or own it.
//!
//! To the machine, a peer's use of our server is one more lease.

#[cfg(feature = "metrics")]
use std::collections::BTreeMap;
use std::{fs::File, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::waits::{Pending, Woken, pending};
#[cfg(feature = "metrics")]
use crate::resources::Usage;
use crate::{
    config::{Identity, Needs, Share},
    leases::{Instances, word::Word},
    machine::{Claim, Ownership, Situation, Time},
    resources::{
        Claims, Gate, Server, Shortage, Standing, Ticket,
        peers::{self, Peers},
    },
};

pub(super) struct Negotiation {
    claims: Arc<Claims>,
    pub(super) peers: Arc<Peers>,
    instances: Arc<Instances>,
    pub(super) gate: Arc<Gate>,
    /// When the process was started, and how long it took to be ready.
    spawned_at: Instant,
    took: Duration,
    /// Given back after the process, where the task ends before its work.
    ticket: Option<Ticket>,
    /// Room was claimed since the last report.
    claims_room: bool,
    /// A renewal of the use of a peer's server is under way.
    renewal: Option<Pending<Claim>>,
    /// Since when a peer uses our server while no lease is out here.
    lent_since: Option<Instant>,
}

impl Negotiation {
    pub(super) fn new(
        claims: Arc<Claims>,
        identity: Identity,
        name: &str,
        instances: Arc<Instances>,
        gate: Arc<Gate>,
    ) -> Self {
        Self {
            peers: claims.peers(identity, name),
            claims,
            instances,
            gate,
            spawned_at: Instant::now(),
            took: Duration::ZERO,
            ticket: None,
            claims_room: false,
            renewal: None,
            lent_since: None,
        }
    }

    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Woken {
        let Self {
            peers,
            ticket,
            renewal,
            lent_since,
            ..
        } = self;
        let claim = tokio::select! {
            biased;
            claim = of_claim(ticket.as_mut()) => claim,
            claim = pending(renewal.as_mut()) => claim,
            () = returned(peers, *lent_since) => return Woken::LeasesEnded,
        };
        if ticket.is_none() {
            *renewal = None;
        }
        Woken::Claim(claim)
    }

    pub(super) fn claim(&mut self, name: &str, evict: bool) {
        let server = Arc::new(Instance {
            instances: self.instances.clone(),
            peers: self.peers.clone(),
        });
        let gate = self.gate.clone();
        self.ticket = Some(self.claims.claim(name, &self.peers, server, gate, evict));
    }

    /// What all services of this program have of named resources.
    #[cfg(feature = "metrics")]
    pub(super) fn usage(&self) -> BTreeMap<String, Usage> {
        self.claims.table.usage_here()
    }

    /// Claims what the process needs beside the address.
    pub(super) fn want(&mut self, needs: Needs) {
        if let Some(ticket) = &mut self.ticket {
            ticket.want(needs);
            self.claims_room = true;
        }
    }

    /// Whether the service makes way now that no lease is out.
    pub(super) fn offer(&mut self) -> bool {
        self.ticket.as_mut().is_some_and(Ticket::offer)
    }

    /// Whether it has to make way before anything else happens.
    pub(super) fn must_leave(&mut self) -> bool {
        self.ticket.as_mut().is_some_and(Ticket::must_leave)
    }

    /// What the watchdog of an instance keeps locked.
    pub(super) fn instance_lock(&self) -> Option<Arc<File>> {
        self.peers.instance_lock()
    }

    pub(super) fn spawning(&mut self) {
        self.spawned_at = Instant::now();
    }

    /// Tells the other services how this one stands.
    pub(super) fn report(&self, situation: Option<Situation>, share: &Share) {
        let (Some(ticket), Some(situation)) = (&self.ticket, situation) else {
            return;
        };
        let standing = match situation {
            Situation::Waits {
                is_polite,
                impatient_at,
            } => Standing::Waits {
                is_polite,
                impatient_at: (impatient_at != Time::MAX)
                    .then(|| self.instances.instant(impatient_at)),
            },
            Situation::Starts { wanted } => Standing::Starts { wanted },
            Situation::Serves => Standing::Serves { took: self.took },
            Situation::Leaves => Standing::Leaves,
        };
        ticket.report(standing, share);
    }

    /// Whether a claim for room was made that has to wait. Said once.
    pub(super) fn begins_to_wait(&mut self) -> bool {
        std::mem::take(&mut self.claims_room) && self.shortage().is_some()
    }

    pub(super) fn shortage(&self) -> Option<Shortage> {
        self.ticket.as_ref().and_then(Ticket::shortage)
    }

    /// The address that it waits for and a peer has, as text.
    pub(super) fn waits_for_peer(&self) -> Option<String> {
        self.ticket.as_ref().and_then(Ticket::waits_for_peer)
    }

    pub(super) fn release(&mut self) {
        self.ticket = None;
    }

    /// The service that has the address.
    pub(super) fn holder(&self) -> Option<String> {
        self.ticket.as_ref().and_then(Ticket::holder)
    }

    pub(super) fn renew(&mut self, after: Duration) {
        let peers = self.peers.clone();
        self.renewal = Some(Box::pin(async move {
            sleep(after).await;
            peers.renew().await
        }));
    }

    pub(super) fn stop_renewing(&mut self) {
        self.renewal = None;
    }

    /// An instance begins.
    pub(super) fn opened(&mut self, ownership: Ownership) {
        if ownership == Ownership::Owned {
            self.took = self.spawned_at.elapsed();
            self.peers.admit();
        }
    }

    /// An instance continues.
    pub(super) fn reopened(&self, ownership: Ownership) {
        if ownership == Ownership::Owned {
            self.peers.admit();
        }
    }

    /// An instance is over.
    pub(super) fn ended(&mut self) {
        self.peers.admit_no_more();
        self.lent_since = None;
    }

    /// How many leases keep our server from being stopped.
    pub(super) fn leases_out(&self, out: usize) -> usize {
        if out == 0 {
            usize::from(self.peers.peers_use())
        } else {
            out
        }
    }

    /// What a look at our own leases says, with those of peers.
    pub(super) fn with_peers(&mut self, out: usize, idle_since: Time, now: Time) -> (usize, Time) {
        // While a lease is out here, a peer's use says nothing new.
        if out > 0 || !self.peers.peers_use() {
            self.lent_since = None;
            let used_before = self.peers.used_before().filter(|_| out == 0);
            let used = used_before.map(|before| now.saturating_sub(before));
            return (out, idle_since.max(used.unwrap_or_default()));
        }
        self.lent_since.get_or_insert_with(Instant::now);
        (1, idle_since)
    }
}

/// The server that is used now, for other services that need its place.
struct Instance {
    instances: Arc<Instances>,
    peers: Arc<Peers>,
}

impl Server for Instance {
    fn is_in_use(&self) -> bool {
        self.instances.leases.word().count() > 0 || self.peers.peers_use()
    }

    fn idle_since(&self) -> Instant {
        let here = self.instances.leases.idle_since();
        let before = self.peers.used_before();
        let elsewhere = before.map(|it| self.instances.now().saturating_sub(it));
        self.instances
            .instant(here.max(elsewhere.unwrap_or_default()))
    }

    fn close_if_free(&self) -> Option<bool> {
        let mut was = None;
        let closed = self.peers.close_unless_used(|| {
            was = self.instances.leases.close_if_free();
            was.is_some()
        });
        was.filter(|_| closed).map(Word::is_open)
    }

    fn reopen(&self) {
        self.instances.leases.update(Word::open_again);
        self.peers.admit();
    }

    fn instance(&self) -> Option<String> {
        self.peers.instance_name()
    }
}

async fn of_claim(ticket: Option<&mut Ticket>) -> Claim {
    match ticket {
        Some(ticket) => ticket.next().await,
        None => std::future::pending().await,
    }
}

/// Resolves when no peer uses what has been lent.
async fn returned(peers: &Peers, lent_since: Option<Instant>) {
    let Some(since) = lent_since else {
        return std::future::pending().await;
    };
    loop {
        sleep(peers::pace(since.elapsed(), peers::PATIENTLY)).await;
        if !peers.peers_use() {
            return;
        }
    }
}
