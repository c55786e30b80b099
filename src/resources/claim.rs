//! Who has an endpoint, and who waits for it.
//!
//! Two servers cannot listen on one port, so a service claims its endpoints before it looks at what
//! is there, and gives them back when nothing of its process is left. A service that waits makes the
//! one that has the endpoint retire: first among the services of this process ([`queue`]), then among
//! those of other host processes ([`hosts`](super::hosts)).

#[cfg(test)]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::{Instant, sleep};

use super::{
    peers::{self, Bell, Hosts, Ring, Standing},
    queue::{Place, Queues},
};
use crate::{config::Identity, machine::Claim};

/// The claims of a host process.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    queues: Arc<Queues>,
    reach: Reach,
}

/// Who respects a claim.
#[derive(Debug, Default)]
enum Reach {
    /// The services of this process.
    #[default]
    Process,
    /// Those of all processes of our user.
    User,
    /// Those of whoever shares the folder.
    #[cfg(test)]
    Folder(Arc<PathBuf>),
}

/// A claim; dropping it gives the endpoints back, or leaves the queues.
#[derive(Debug)]
pub(crate) struct Ticket {
    hosts: Arc<Hosts>,
    place: Place,
    granted: bool,
    wanted: bool,
    /// Since when other host processes are waited for.
    waits_since: Option<Instant>,
    holder: Option<String>,
    ring: Ring,
    bell: Option<Bell>,
}

impl Claims {
    /// Claims that all host processes of this user know of.
    pub(crate) fn among_hosts() -> Self {
        Self {
            queues: Arc::default(),
            reach: Reach::User,
        }
    }

    #[cfg(test)]
    pub(crate) fn in_folder(folder: &Path) -> Self {
        Self {
            queues: Arc::default(),
            reach: Reach::Folder(Arc::new(folder.to_owned())),
        }
    }

    /// What a service has to do with other host processes; its claims are made with it.
    pub(crate) fn hosts(&self, identity: Identity, name: &str) -> Arc<Hosts> {
        let folder = match &self.reach {
            Reach::Process => None,
            Reach::User => peers::folder(),
            #[cfg(test)]
            Reach::Folder(folder) => Some(folder.clone()),
        };
        Arc::new(Hosts::new(folder, identity, name))
    }

    /// Claims the endpoints of the identity.
    pub(crate) fn claim(&self, name: &str, hosts: &Arc<Hosts>) -> Ticket {
        Ticket {
            hosts: hosts.clone(),
            place: self.queues.join(name, hosts.endpoints()),
            granted: false,
            wanted: false,
            waits_since: None,
            holder: None,
            ring: Ring::default(),
            bell: None,
        }
    }
}

impl Ticket {
    /// What has become of the claim since the last call.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(crate) async fn next(&mut self) -> Claim {
        if !self.granted {
            self.place.first().await;
            self.settle().await;
            self.granted = true;
            return Claim::Granted;
        }
        loop {
            let wanted = self.place.is_wanted() || self.bell.as_ref().is_some_and(Bell::is_rung);
            if std::mem::replace(&mut self.wanted, wanted) != wanted {
                return if wanted {
                    Claim::Wanted
                } else {
                    Claim::Unwanted
                };
            }
            if self.bell.is_none() && self.hosts.owns() {
                self.bell = Some(self.hosts.hang_bell());
            }
            tokio::select! {
                () = self.place.changed() => {}
                () = changed(self.bell.as_mut()) => {}
            }
        }
    }

    /// Waits while another host process has the endpoint for another server. One that has it for the
    /// same server is no hindrance: that one is used.
    async fn settle(&mut self) {
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        loop {
            match self.hosts.try_own() {
                Standing::Owner | Standing::Guest { .. } => {
                    self.ring.stop();
                    self.holder = None;
                    return;
                }
                Standing::Rival { holder, bell } => {
                    self.holder = Some(holder);
                    self.ring.at(&bell).await;
                }
                Standing::Unsettled => {}
            }
            sleep(peers::pace(since.elapsed(), peers::EAGERLY)).await;
        }
    }

    /// Who has the endpoint.
    pub(crate) fn holder(&self) -> Option<String> {
        let here = self.place.holder();
        here.map(|name| format!("local service `{name}`"))
            .or_else(|| self.holder.clone())
    }
}

async fn changed(bell: Option<&mut Bell>) {
    match bell {
        Some(bell) => bell.changed().await,
        None => std::future::pending().await,
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // In this order: the bell is the owner's, and who is next in this process is to find the
        // endpoint free.
        self.bell = None;
        self.hosts.release();
    }
}
