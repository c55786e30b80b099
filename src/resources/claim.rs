//! A claim on the addresses of a service, and what becomes of it.

use std::{fmt, path::PathBuf, sync::Arc};

use tokio::time::{Instant, sleep};

use super::{
    peers::{self, Bell, Folder, Peers, Ring, Standing},
    sharing::Sharing,
    table::{self, Asked, Gate, Place, Said, Server, Shortage, Table},
};
use crate::{
    config::{Identity, Needs, Share},
    machine::Claim,
};

/// The claims of a program.
pub(crate) struct Claims {
    pub(crate) table: Arc<Table>,
    /// Where the peers are met that respect them; asked at first need.
    folder: Folder,
}

/// A claim; dropping it gives back what the service has, or ends its wait.
#[derive(Debug)]
pub(crate) struct Ticket {
    peers: Arc<Peers>,
    place: Place,
    /// A peer that has the address for the same server is to make way, too.
    evict: bool,
    /// The last answer of the addresses.
    last: Option<Claim>,
    /// What the table said last.
    last_said: Said,
    /// Since when peers are waited for.
    waits_since: Instant,
    /// The peer that has the address for another server.
    holder: Option<String>,
    ring: Ring,
    bell: Option<Bell>,
    sharing: Sharing,
}

impl Claims {
    /// Claims that the peers respect which share the folder; `None` for none.
    pub(crate) fn new(folder: impl Fn() -> Option<Arc<PathBuf>> + Send + Sync + 'static) -> Self {
        let folder: Folder = Arc::new(folder);
        Self {
            table: Arc::new(Table::new(folder.clone())),
            folder,
        }
    }

    /// The dealings of a service with its peers; its claims are made with it.
    pub(crate) fn peers(&self, identity: Identity, name: &str) -> Arc<Peers> {
        Arc::new(Peers::new((self.folder)(), identity, name))
    }

    /// Claims the addresses of the identity.
    pub(crate) fn claim(
        &self,
        name: &str,
        peers: &Arc<Peers>,
        server: Arc<dyn Server>,
        gate: Arc<Gate>,
        evict: bool,
    ) -> Ticket {
        let place = self.table.join(name, peers.addresses(), server, gate);
        Ticket {
            peers: peers.clone(),
            place,
            evict,
            last: None,
            last_said: Said::default(),
            waits_since: Instant::now(),
            holder: None,
            ring: Ring::default(),
            bell: None,
            sharing: Sharing::default(),
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
        f.debug_struct("Claims")
            .field("table", &self.table)
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
            if self.must_leave() {
                return Claim::Leave;
            }
            if let Some(claim) = self.of_address().await {
                return claim;
            }
            if self.peers.owns()
                && let Some(claim) = self.of_others()
            {
                return claim;
            }
            self.sharing.contact(&self.place).await;
            self.changed().await;
        }
    }

    /// Whether this service has to make way, which is said once. The caller has its gate.
    pub(crate) fn must_leave(&mut self) -> bool {
        let leaves = self.place.said().asked == Asked::Leave;
        leaves && std::mem::replace(&mut self.last_said.asked, Asked::Leave) != Asked::Leave
    }

    /// News of the claim on the addresses.
    async fn of_address(&mut self) -> Option<Claim> {
        let claim = self.negotiate().await?;
        (self.last.replace(claim) != Some(claim)).then_some(claim)
    }

    /// `None` while the address changes hands.
    async fn negotiate(&mut self) -> Option<Claim> {
        if self.peers.owns() {
            return Some(Claim::Owner);
        }
        let said = self.place.said();
        if !said.has_address {
            return Some(if said.no_room {
                Claim::NoRoom
            } else {
                Claim::Rival
            });
        }
        match self.peers.try_own() {
            Standing::Owner => {
                self.ring.stop();
                self.holder = None;
                self.bell = Some(self.peers.hang_bell());
                Some(Claim::Owner)
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
                if self.holder.as_ref() != Some(&holder) {
                    // That is news, also after another rival.
                    self.last = None;
                    self.holder = Some(holder);
                }
                self.ring.at(&bell).await;
                Some(Claim::Rival)
            }
            Standing::ChangingHands => None,
        }
    }

    /// What services that wait ask of the owner of the addresses, and what has become of its own wait for room.
    fn of_others(&mut self) -> Option<Claim> {
        self.place
            .ring(self.bell.as_ref().is_some_and(Bell::is_rung));
        let (said, before) = (self.place.said(), self.last_said);
        self.last_said = said;
        if said.asked == Asked::Leave {
            // That is said elsewhere.
            self.last_said.asked = before.asked;
        }
        if said.has_room != before.has_room {
            return Some(Claim::Room);
        }
        if said.waits && said.no_room && !before.no_room {
            return Some(Claim::NoRoom);
        }
        if (said.asked, said.looks) == (before.asked, before.looks) {
            return None;
        }
        match said.asked {
            Asked::Wanted => Some(Claim::Wanted),
            Asked::Close => Some(Claim::Contested),
            Asked::Nothing if before.asked != Asked::Nothing => Some(Claim::Uncontested),
            Asked::Nothing | Asked::Leave => None,
        }
    }

    /// Resolves when there may be news.
    async fn changed(&mut self) {
        let owns = self.peers.owns();
        let tries = self.place.said().has_address && !owns;
        let since = self.waits_since;
        let retry = async {
            let pause = peers::pace(since.elapsed(), peers::EAGERLY);
            sleep(pause).await;
        };
        tokio::select! {
            () = self.place.changed() => {}
            () = peers::rung(self.bell.as_mut()), if owns => {}
            () = retry, if tries => {}
            () = self.sharing.changed() => self.sharing.meet(&self.place),
        }
        if !self.place.said().has_address {
            self.waits_since = Instant::now();
        }
    }

    /// How the service stands now. The caller has its gate.
    pub(crate) fn report(&self, standing: table::Standing, share: &Share) {
        self.place.report(standing, share.pinned, share.turn);
    }

    /// Claims what the process needs beside the addresses.
    pub(crate) fn want(&mut self, needs: Needs) {
        self.last_said.no_room = false;
        self.sharing.is_wanted = true;
        self.place.want(needs);
    }

    /// No lease is out, and another service waits. Says whether this one makes way now. The caller has its gate.
    pub(crate) fn offer(&mut self) -> bool {
        self.place.offer();
        self.must_leave()
    }

    /// What it waits for; `None` for nothing, or for a peer.
    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.place.shortage()
    }

    /// The address that it waits for and a peer has, as text; `None` if it waits for none.
    pub(crate) fn waits_for_peer(&self) -> Option<String> {
        let waits = self.last == Some(Claim::Rival) && self.place.said().has_address;
        let holder = self.holder.as_ref().filter(|_| waits)?;
        let addresses = self.peers.addresses().iter().map(ToString::to_string);
        let addresses = addresses.collect::<Vec<_>>().join(" or ");
        Some(format!("the address {addresses}, which {holder} has"))
    }

    /// The service that has the address.
    pub(crate) fn holder(&self) -> Option<String> {
        let here = self.shortage().and_then(|it| {
            let holders = it.holders.into_iter().map(|(name, _)| name);
            holders.chain(it.before).next()
        });
        here.map(|name| format!("local service `{name}`"))
            .or_else(|| self.holder.clone())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // In this order: the bell is the owner's, and the next service of this program is to find the address free.
        self.bell = None;
        self.sharing = Sharing::default();
        self.peers.release();
    }
}
