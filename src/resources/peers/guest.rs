//! The side of a guest: it uses a peer's server.

use std::{io, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    EAGERLY, Locks, Peers, files::Files, instance::is_left_at, pace, record::Record, warn_once,
};
use crate::machine::Claim;

/// Whose server is on the address, and whether this program may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// No peer has the address.
    Free,
    /// Of our identity, and ready for all.
    Open,
    /// Of our identity, on its way in or out.
    Closed,
    /// Of another identity.
    Other,
}

impl Peers {
    /// Becomes a user of a peer's server of the same identity, if that is ready for all.
    pub(super) fn try_use(&self, locks: &mut Locks) -> io::Result<bool> {
        self.open(locks)?;
        let files = &locks.files[0];
        // To its owner, a lock is a use. A server that is closed is not to wait for the end of one.
        let is_open = |record: Record| record.is_of(&self.identity) && record.is_open;
        if !files.record().is_some_and(is_open) {
            locks.stop_using();
            return Ok(false);
        }
        locks.uses = locks.uses || files.try_shared()?;
        if locks.uses && self.server(&locks.files[0])? == Server::Open {
            locks.files[0].note_use(Duration::ZERO)?;
            return Ok(true);
        }
        locks.stop_using();
        Ok(false)
    }

    /// Makes sure that the server which is used cannot be stopped, and says whose it is: `Guest`, `Free`, or `Lost`.
    ///
    /// # Cancel safety
    ///
    /// A use that was begun is renewed or ended by the next call, or by [`stop_using`](Self::stop_using).
    pub(crate) async fn renew(&self) -> Claim {
        let begun = Instant::now();
        loop {
            let found = self.find().unwrap_or_else(|error| {
                // As for the owner: a program that cannot lock is alone.
                warn_once(&error);
                Some(Claim::Free)
            });
            match found {
                Some(claim) => return claim,
                None => sleep(pace(begun.elapsed(), EAGERLY)).await,
            }
        }
    }

    /// Whether a peer has the address for a server of the same identity, or had it and something of that is left.
    pub(crate) fn is_of_a_peer(&self) -> bool {
        let Some(folder) = &self.folder else {
            return false;
        };
        let mut locks = Locks::default();
        let opened = self.open(&mut locks);
        let server = opened.and_then(|()| self.server(&locks.files[0]));
        match server {
            Ok(Server::Open | Server::Closed) => true,
            Ok(Server::Free) => {
                let record = locks.files[0].record();
                record.is_some_and(|it| it.is_of(&self.identity))
                    && is_left_at(folder, &self.addresses()[0]).unwrap_or(false)
            }
            Ok(Server::Other) | Err(_) => false,
        }
    }

    /// `None` for the moment in which the owner has closed its server to look whether it is used.
    fn find(&self) -> io::Result<Option<Claim>> {
        if self.folder.is_none() {
            return Ok(Some(Claim::Free));
        }
        let mut locks = self.lock();
        self.open(&mut locks)?;
        Ok(match self.server(&locks.files[0])? {
            Server::Free => {
                locks.stop_using();
                locks.close_unless_needed();
                Some(Claim::Free)
            }
            Server::Open => {
                let is_used = self.try_use(&mut locks)?;
                is_used.then_some(Claim::Guest { open: true })
            }
            Server::Closed | Server::Other => Some(Claim::Lost),
        })
    }

    /// Ends the use, which was over so long ago.
    pub(crate) fn stop_using(&self, ended_before: Duration) {
        let mut locks = self.lock();
        if locks.uses
            && let Some(files) = locks.files.first()
        {
            drop(files.note_use(ended_before));
        }
        locks.stop_using();
        locks.close_unless_needed();
    }

    fn server(&self, files: &Files) -> io::Result<Server> {
        if files.is_free()? {
            return Ok(Server::Free);
        }
        Ok(match files.record() {
            Some(record) if !record.is_of(&self.identity) => Server::Other,
            Some(record) if record.is_open => Server::Open,
            Some(_) | None => Server::Closed,
        })
    }
}
