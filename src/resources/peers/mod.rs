//! What the host processes of one user share: who has an endpoint, and who uses its server.
//!
//! Each endpoint has four files in a folder of our user's own ([`folder`]). All that is said here is
//! said by locks on them, which the system takes back from whoever dies, so that nothing has to be
//! cleaned up. A lock belongs to the file as its host has opened it; no child inherits one.
//!
//! | file | exclusive lock | shared lock |
//! |---|---|---|
//! | `next` | who waits for the endpoint, and is the first to get it | |
//! | `owner` | who has the endpoint: looks at it, and starts, runs or stops a server on it | |
//! | `users` | for a moment, the owner: nobody else uses the server | who uses it without being its owner |
//! | `bell` | a socket that the owner listens on: whoever wants the endpoint for another server stays connected | |
//!
//! `owner` has a [`record`] of what is run there: a digest of the identity, and whether others may use
//! it. It says something only while somebody has the lock.
//!
//! - *One server.* Nobody starts anything without `owner`, and that is held until nothing is left of
//!   the process. Who gets it looks at the endpoint first, whatever the record says.
//! - *The others use it.* Who finds that another has `owner` for the same identity waits until the
//!   record says open, then locks `users`, and *then* looks at the record again, and at the server.
//!   So the server that it sees is one that the owner cannot stop any more.
//! - *No stop under a use.* To its owner, a lock on `users` is a lease. It stops an idle server only
//!   after it had `users` for itself, and the record says closed before it lets go of that.
//! - *A server that fails the checks of a user* is its owner's to replace; an owner that is idle would
//!   not look, so the user rings the bell, too.
//! - *Another identity* locks `next`, rings the bell and waits for `owner`. The owner closes, the uses
//!   end in peace, the server is stopped. As `next` comes before `owner`, the one that made way does
//!   not get in again before the one for which it did.
//! - *No deadlock.* Nobody waits with a lock of `owner` or `users` for another. Of several endpoints all
//!   are locked, or none. Nothing blocks: who has to wait tries again, at a [`pace`] that slows down.
//! - *No hold-up.* What a host had is free when it dies. The servers of a dead owner die with it; what
//!   answers for a moment longer is judged by what it answers, as without all this.
//! - *Cheap.* An owner makes system calls when its run opens and ends, and where it looks at its leases;
//!   none for a lease, none while it is idle. A user locks once for a second of uses.
//!
//! The files stay where they are: who removed one would have a lock that nobody sees.

mod bell;
mod files;
mod folder;
mod look;
mod owner;
mod record;
#[cfg(test)]
mod tests;
mod user;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use self::files::{Files, try_all, unlock_all};
pub(crate) use self::{
    bell::{Bell, Ring},
    folder::ours as folder,
};
use crate::{
    config::{Address, Identity},
    log,
};

/// The longest pause between two tries of who waits to begin: as for probes.
pub(crate) const EAGERLY: Duration = Duration::from_millis(50);
/// The longest pause of who waits for others to end.
pub(crate) const PATIENTLY: Duration = Duration::from_secs(1);

/// Our dealings with the other host processes about one service.
///
/// Where there is no folder, or it does not work, there are no others.
#[derive(Debug)]
pub(crate) struct Hosts {
    folder: Option<Arc<PathBuf>>,
    identity: Identity,
    name: String,
    locks: Mutex<Locks>,
    /// The server of another host failed its checks while we used it.
    condemned: AtomicBool,
}

#[derive(Debug, Default)]
struct Locks {
    /// Of each endpoint; open while anything is locked or waited for.
    files: Vec<Files>,
    is_next: bool,
    owns: bool,
    uses: bool,
}

/// What has become of the wish to have an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is ours.
    Owner,
    /// Another host has it for a server of the same identity.
    Guest { bell: PathBuf },
    /// Another host has it for another server.
    Rival { holder: String, bell: PathBuf },
    /// It is changing hands.
    Unsettled,
}

impl Hosts {
    pub(crate) fn new(folder: Option<Arc<PathBuf>>, identity: Identity, name: &str) -> Self {
        Self {
            folder,
            identity,
            name: name.to_owned(),
            locks: Mutex::default(),
            condemned: AtomicBool::new(false),
        }
    }

    pub(crate) fn endpoints(&self) -> &[Address] {
        &self.identity.endpoints
    }

    /// Tries to get the endpoint, and says who has it otherwise.
    pub(crate) fn try_own(&self) -> Standing {
        let mut locks = self.lock();
        match self.standing(&mut locks) {
            Ok(standing) => standing,
            Err(error) => {
                warn_once(&error);
                *locks = Locks::default();
                locks.owns = true;
                Standing::Owner
            }
        }
    }

    fn standing(&self, locks: &mut Locks) -> io::Result<Standing> {
        if locks.owns || self.folder.is_none() {
            locks.owns = true;
            return Ok(Standing::Owner);
        }
        self.open(locks)?;
        if !locks.is_next && try_all(&locks.files, |files| &files.next)? {
            locks.is_next = true;
        }
        if locks.is_next && try_all(&locks.files, |files| &files.owner)? {
            locks.owns = true;
            self.condemned.store(false, Relaxed);
            locks.leave_queue();
            locks.stop_using();
            self.write(locks, false)?;
            return Ok(Standing::Owner);
        }
        let mut standing = Standing::Unsettled;
        for files in &locks.files {
            match files.record() {
                Some(record) if record.is_of(&self.identity) => {
                    let bell = files.bell.clone();
                    standing = Standing::Guest { bell };
                }
                Some(record) => {
                    return Ok(Standing::Rival {
                        holder: record.holder(),
                        bell: files.bell.clone(),
                    });
                }
                None => {}
            }
        }
        if matches!(standing, Standing::Guest { .. }) {
            // Who may use what is there makes nobody wait.
            locks.leave_queue();
        }
        Ok(standing)
    }

    pub(crate) fn owns(&self) -> bool {
        self.lock().owns
    }

    /// Gives the endpoint back, or waits for it no longer.
    pub(crate) fn release(&self) {
        let mut locks = self.lock();
        locks.leave_queue();
        if std::mem::take(&mut locks.owns) {
            unlock_all(&locks.files, |files| &files.owner);
        }
        locks.close_unless_needed();
    }

    fn open(&self, locks: &mut Locks) -> io::Result<()> {
        if let Some(folder) = &self.folder
            && locks.files.is_empty()
        {
            let endpoints = self.identity.endpoints.iter();
            let files = endpoints.map(|endpoint| Files::open(folder, endpoint));
            locks.files = files.collect::<io::Result<_>>()?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locks {
    fn leave_queue(&mut self) {
        if std::mem::take(&mut self.is_next) {
            unlock_all(&self.files, |files| &files.next);
        }
    }

    fn stop_using(&mut self) {
        if std::mem::take(&mut self.uses)
            && let Some(files) = self.files.first()
        {
            files.leave();
        }
    }

    fn close_unless_needed(&mut self) {
        if !self.is_next && !self.owns && !self.uses {
            self.files.clear();
        }
    }
}

/// How long to wait before the next try, after so long a wait: at most a fiftieth of it in vain.
pub(crate) fn pace(waited: Duration, longest: Duration) -> Duration {
    (waited / 50).clamp(Duration::from_millis(1), longest)
}

fn warn_once(error: &io::Error) {
    log::warn_once!(
        %error,
        "the files by which programs agree on local services cannot be used: several programs \
         on one port may get in each other's way; make XDG_RUNTIME_DIR a folder of your own, on \
         a file system with locks"
    );
}
