//! A claim on the addresses of a service, and what becomes of it.

use std::{fmt, path::PathBuf, sync::Arc};

use tokio::time::{Instant, sleep};

use super::{
    peers::{self, Bell, Peers, Ring, Standing},
    queue::{Place, Queues},
};
use crate::{config::Identity, machine::Claim};

/// The claims of a program.
pub(crate) struct Claims {
    queues: Arc<Queues>,
    /// Where the peers are met that respect them; asked at first need.
    folder: Box<dyn Fn() -> Option<Arc<PathBuf>> + Send + Sync>,
}

/// A claim; dropping it gives the addresses back, or leaves the queues.
#[derive(Debug)]
pub(crate) struct Ticket {
    peers: Arc<Peers>,
    place: Place,
    /// A peer that has the address for the same server is to make way, too.
    evict: bool,
    /// The last answer.
    last: Option<Claim>,
    /// Since when peers are waited for.
    waits_since: Option<Instant>,
    holder: Option<String>,
    ring: Ring,
    bell: Option<Bell>,
}

impl Claims {
    /// Claims that the peers respect which share the folder; `None` for none.
    pub(crate) fn new(folder: impl Fn() -> Option<Arc<PathBuf>> + Send + Sync + 'static) -> Self {
        Self {
            queues: Arc::default(),
            folder: Box::new(folder),
        }
    }

    /// The dealings of a service with its peers; its claims are made with it.
    pub(crate) fn peers(&self, identity: Identity, name: &str) -> Arc<Peers> {
        Arc::new(Peers::new((self.folder)(), identity, name))
    }

    /// Claims the addresses of the identity.
    pub(crate) fn claim(&self, name: &str, peers: &Arc<Peers>, evict: bool) -> Ticket {
        Ticket {
            peers: peers.clone(),
            place: self.queues.join(name, peers.addresses()),
            evict,
            last: None,
            waits_since: None,
            holder: None,
            ring: Ring::default(),
            bell: None,
        }
    }
}

impl Default for Claims {
    /// Claims that no peer knows of.
    fn default() -> Self {
        Self::new(|| None)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queues = &self.queues;
        f.debug_struct("Claims")
            .field("queues", queues)
            .finish_non_exhaustive()
    }
}

impl Ticket {
    /// What has become of the claim, whenever that is something else than before.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Claim {
        loop {
            let news = self.negotiate().await.filter(|it| self.last != Some(*it));
            if let Some(claim) = news {
                self.last = Some(claim);
                return claim;
            }
            self.changed().await;
        }
    }

    /// `None` while the address changes hands.
    async fn negotiate(&mut self) -> Option<Claim> {
        if self.peers.owns() {
            return Some(self.as_owner());
        }
        if !self.place.is_first() {
            return Some(Claim::Rival);
        }
        match self.peers.try_own() {
            Standing::Owner => {
                self.ring.stop();
                Some(self.as_owner())
            }
            Standing::Guest { bell, is_open } => {
                if self.evict {
                    self.ring.at(&bell).await;
                } else {
                    self.ring.stop();
                }
                Some(Claim::Guest { open: is_open })
            }
            Standing::Rival { holder, bell } => {
                self.holder = Some(holder);
                self.ring.at(&bell).await;
                Some(Claim::Rival)
            }
            Standing::ChangingHands => None,
        }
    }

    fn as_owner(&mut self) -> Claim {
        self.holder = None;
        if self.bell.is_none() {
            self.bell = Some(self.peers.hang_bell());
        }
        let is_rung = self.bell.as_ref().is_some_and(Bell::is_rung);
        match self.last {
            Some(Claim::Owner | Claim::Uncontested) if is_rung || self.place.is_contested() => {
                Claim::Contested
            }
            Some(Claim::Contested) if is_rung || self.place.is_contested() => Claim::Contested,
            Some(Claim::Contested | Claim::Uncontested) => Claim::Uncontested,
            // First that it is the owner.
            _ => Claim::Owner,
        }
    }

    /// Resolves when there may be news.
    async fn changed(&mut self) {
        if let Some(bell) = &mut self.bell {
            tokio::select! {
                () = self.place.changed() => {}
                () = bell.changed() => {}
            }
        } else if self.place.is_first() {
            let since = *self.waits_since.get_or_insert_with(Instant::now);
            sleep(peers::pace(since.elapsed(), peers::EAGERLY)).await;
        } else {
            self.place.changed().await;
        }
    }

    /// The service that has the address.
    pub(crate) fn holder(&self) -> Option<String> {
        let here = self.place.holder();
        here.map(|name| format!("local service `{name}`"))
            .or_else(|| self.holder.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // In this order: the bell is the owner's, and the next service of this program is to find the address free.
        self.bell = None;
        self.peers.release();
    }
}
