//! The side of the owner of an address: what it lets its peers know and do.

use std::{io, time::Duration};

use super::{Bell, Locks, Peers, record::Record, warn_once};

impl Peers {
    /// Peers may use the server.
    pub(crate) fn admit(&self) {
        self.announce(true);
    }

    /// Peers may not begin to use the server.
    pub(crate) fn admit_no_more(&self) {
        self.announce(false);
    }

    fn announce(&self, is_open: bool) {
        let locks = self.lock();
        if locks.owns
            && let Err(error) = self.write(&locks, is_open)
        {
            warn_once(&error);
        }
    }

    pub(super) fn write(&self, locks: &Locks, is_open: bool) -> io::Result<()> {
        let record = Record::new(&self.identity, &self.name, is_open);
        locks.files.iter().try_for_each(|it| it.write(&record))
    }

    /// Whether a peer uses the server.
    pub(crate) fn peers_use(&self) -> bool {
        let locks = self.lock();
        let Some(files) = locks.files.first().filter(|_| locks.owns) else {
            return false;
        };
        let is_unused = files.try_alone().unwrap_or(true);
        if is_unused {
            files.leave();
        }
        !is_unused
    }

    /// Runs `close`, which stops new leases in this program, unless a peer uses the server. If it succeeds, the
    /// record says closed, so that no peer begins to.
    pub(crate) fn close_unless_used(&self, close: impl FnOnce() -> bool) -> bool {
        let locks = self.lock();
        let Some(files) = locks.files.first().filter(|_| locks.owns) else {
            return close();
        };
        if !files.try_alone().unwrap_or(true) {
            return false;
        }
        let closed = close();
        if closed && let Err(error) = self.write(&locks, false) {
            warn_once(&error);
        }
        files.leave();
        closed
    }

    /// How long ago a peer began or ended a use of the server, as far as is known.
    pub(crate) fn used_before(&self) -> Option<Duration> {
        let locks = self.lock();
        let files = locks.files.first().filter(|_| locks.owns)?;
        files.used_before()
    }

    /// A bell for the peers that need the address for another server.
    pub(crate) fn hang_bell(&self) -> Bell {
        let locks = self.lock();
        let paths = locks.files.iter().map(|files| files.bell.clone());
        Bell::hang(paths.collect())
    }
}
