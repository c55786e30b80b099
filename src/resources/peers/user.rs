//! The side of who uses another host's server.

use std::{io, sync::atomic::Ordering::Relaxed, time::Duration};

use super::{Hosts, Locks, files::Files};

/// Whose server is on the endpoint, and whether we may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// No host has it.
    Nobodys,
    /// Of our identity, and ready for all.
    Open,
    /// Of our identity, on its way in or out.
    Closed,
    Anothers,
}

impl Hosts {
    /// Whether we are known as a user of another host's server.
    pub(crate) fn uses(&self) -> bool {
        self.lock().uses
    }

    /// Becomes a user of another host's server of the same identity, if that is ready for all.
    pub(super) fn try_use(&self, locks: &mut Locks) -> io::Result<bool> {
        self.open(locks)?;
        let files = &locks.files[0];
        locks.uses = locks.uses || files.try_shared()?;
        if locks.uses && self.server(&locks.files[0])? == Server::Open {
            locks.files[0].note_use(Duration::ZERO)?;
            return Ok(true);
        }
        locks.stop_using();
        Ok(false)
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

    /// What we use has failed its checks.
    pub(crate) fn condemn(&self) {
        if self.uses() {
            self.condemned.store(true, Relaxed);
        }
    }

    pub(super) fn server(&self, files: &Files) -> io::Result<Server> {
        if files.is_free()? {
            return Ok(Server::Nobodys);
        }
        Ok(match files.record() {
            Some(record) if !record.is_of(&self.identity) => Server::Anothers,
            Some(record) if record.is_open => Server::Open,
            Some(_) | None => Server::Closed,
        })
    }
}
