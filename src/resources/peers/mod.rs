//! What the programs of one user share: which one has an address, and which ones use its server.
//!
//! Each address has five files in a folder of the user's own ([`folder`]). Everything is said by locks on them, which
//! the system takes back from a program that dies, so that nothing has to be cleaned up. A lock belongs to the file as
//! its program has opened it; no child inherits one, but for the watchdog.
//!
//! | file | exclusive lock | shared lock |
//! |---|---|---|
//! | `next` | the program that waits for the address, and is the first to get it | |
//! | `owner` | the program that has the address: looks at it, and starts, runs or stops a server on it | |
//! | `instance` | the same program, and the watchdog of what it has started: until nothing of that is left | |
//! | `users` | for a moment, the owner: no peer uses the server | a program that uses the server without being its owner |
//! | `bell` | a socket that the owner listens on: a program that needs the address for another server stays connected | |
//!
//! `owner` contains a [`record`] of what runs there: a digest of the identity, and whether peers may use it. It means
//! something only while a program has the lock.
//!
//! - *One server.* No program starts anything without `owner`, and keeps it until nothing is left of the process. A
//!   program that gets it looks at the address first, whatever the record says.
//! - *The others use it.* A program that finds that a peer has `owner` for the same identity is a guest: it waits until
//!   the record says open, locks `users`, and *then* looks at the record again, and at the server. So the server that it
//!   sees is one that the owner cannot stop any more.
//! - *No stop under a use.* To its owner, a lock on `users` is a lease. It stops an idle server only after it had
//!   `users` for itself, and the record says closed before it lets go of that.
//! - *A server that fails under a guest* is its owner's to replace. An owner that is idle does not look, so the guest
//!   rings the bell, too.
//! - *Another identity* locks `next`, rings the bell and waits for `owner`. The owner closes, existing uses end, the
//!   server is stopped. As `next` comes before `owner`, the program that made way does not get in again before the
//!   one for which it did.
//! - *No deadlock.* No program waits with a lock of `owner` or `users` for another. Of several addresses all are locked,
//!   or none. Nothing blocks: a program that has to wait tries again, at a [`pace`] that slows down.
//! - *No hold-up.* What a program had is free when it dies, and when nothing is left of its server: the watchdog, which ends
//!   that within seconds, has `instance` as long as it lives. So the next server does not start beside the last one, and
//!   no program takes a server that is being ended for one that it can use.
//! - *Cheap.* An owner makes system calls when its instance opens and ends, and where it reads its leases; none for a
//!   lease, none while it is idle. A guest locks once for a second of uses.
//!
//! Services that need more than an address say so in [`seats`](self::seats::Seats), which are locked in the same way.
//!
//! On Windows no program can read or write what another one has locked, so what a locked file says is in a file of its own
//! there, `….text`, and a bell is a socket of the loopback, whose port is in its file.
//!
//! The files stay: a program that removed one would have a lock that no peer sees.

mod bell;
pub(super) mod clock;
mod files;
#[cfg(all(unix, not(tower_local_service_unsupported)))]
mod folder;
#[cfg(windows)]
#[path = "windows_folder.rs"]
mod folder;
mod guest;
mod instance;
mod line;
mod owner;
mod record;
mod sealed;
mod seat;
mod seats;
#[cfg(test)]
mod tests;
mod text;

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub(crate) use self::bell::{Bell, Ring, rung};
#[cfg(all(any(unix, windows), not(tower_local_service_unsupported)))]
pub(crate) use self::folder::ours as folder;
use self::{
    files::{Files, try_all, unlock_all},
    instance::InstanceLock,
};
pub(super) use self::{
    seat::{Seat, Stage as SeatStage},
    seats::{Meeting, Seats},
};
use crate::{
    config::{Address, Identity},
    log,
};

/// The longest pause between two tries of a program that waits to begin: as for probes.
pub(crate) const EAGERLY: Duration = Duration::from_millis(50);
/// The longest pause of a program that waits for uses to end.
pub(crate) const PATIENTLY: Duration = Duration::from_secs(1);

/// Says where the files are that this program shares; `None` for nowhere.
pub(crate) type Folder = Arc<dyn Fn() -> Option<Arc<PathBuf>> + Send + Sync>;

/// Where programs share nothing yet, there is no folder.
#[cfg(any(not(any(unix, windows)), tower_local_service_unsupported))]
pub(crate) fn folder() -> Option<Arc<PathBuf>> {
    None
}

/// The dealings of one service with its peers.
///
/// Where there is no folder, or it does not work, there are no peers.
#[derive(Debug)]
pub(crate) struct Peers {
    folder: Option<Arc<PathBuf>>,
    identity: Identity,
    name: String,
    locks: Mutex<Locks>,
}

#[derive(Debug, Default)]
struct Locks {
    /// Of each address; open while anything is locked or waited for.
    files: Vec<Files>,
    instance: Option<InstanceLock>,
    is_next: bool,
    owns: bool,
    uses: bool,
}

/// What has become of the wish to have an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// This program has it.
    Owner,
    /// A peer has it for a server of the same identity. `is_open`: that is ready, and cannot be stopped while it is
    /// used from here.
    Guest { bell: PathBuf, is_open: bool },
    /// A peer has it for another server.
    Rival { holder: String, bell: PathBuf },
    /// One program gives it up and no other has it yet.
    ChangingHands,
}

impl Peers {
    pub(crate) fn new(folder: Option<Arc<PathBuf>>, identity: Identity, name: &str) -> Self {
        Self {
            folder,
            identity,
            name: name.to_owned(),
            locks: Mutex::default(),
        }
    }

    pub(crate) fn addresses(&self) -> &[Address] {
        &self.identity.addresses
    }

    /// Tries to get the address, and says which peer has it otherwise.
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
        if locks.is_next {
            let is_over = self.try_instance(locks)?;
            if is_over && try_all(&locks.files, |files| &files.owner)? {
                locks.owns = true;
                locks.leave_queue();
                locks.stop_using();
                self.write(locks, false)?;
                return Ok(Standing::Owner);
            }
            locks.instance = None;
            // The record is of a program that has ended, and its watchdog has not.
            if !is_over && locks.files[0].is_free()? {
                locks.stop_using();
                return Ok(Standing::ChangingHands);
            }
        }
        let mut guest_of = None;
        for files in &locks.files {
            let (Some(record), bell) = (files.record(), files.bell.clone()) else {
                continue;
            };
            if !record.is_of(&self.identity) {
                let holder = record.holder();
                locks.stop_using();
                return Ok(Standing::Rival { holder, bell });
            }
            guest_of = Some(bell);
        }
        let Some(bell) = guest_of else {
            return Ok(Standing::ChangingHands);
        };
        // A guest keeps no peer waiting.
        locks.leave_queue();
        let is_open = self.try_use(locks)?;
        Ok(Standing::Guest { bell, is_open })
    }

    /// Before `owner`, since a program that has that is an owner to its peers. `false` while something is left of the
    /// last instance.
    fn try_instance(&self, locks: &mut Locks) -> io::Result<bool> {
        let (Some(folder), Some(address)) = (&self.folder, self.addresses().first()) else {
            return Ok(true);
        };
        locks.instance = InstanceLock::try_lock(folder, address)?;
        Ok(locks.instance.is_some())
    }

    /// What the watchdog of an instance that this program starts has to keep locked.
    pub(crate) fn instance_lock(&self) -> Option<Arc<File>> {
        self.lock().instance.as_ref().map(InstanceLock::file)
    }

    /// What a seat says of it.
    pub(crate) fn instance_name(&self) -> Option<String> {
        let locks = self.lock();
        locks.instance.as_ref().map(|it| it.name().to_owned())
    }

    pub(crate) fn owns(&self) -> bool {
        self.lock().owns
    }

    /// Gives the address back, or waits for it no longer.
    pub(crate) fn release(&self) {
        let mut locks = self.lock();
        locks.leave_queue();
        if std::mem::take(&mut locks.owns) {
            unlock_all(&locks.files, |files| &files.owner);
        }
        locks.instance = None;
        locks.close_unless_needed();
    }

    fn open(&self, locks: &mut Locks) -> io::Result<()> {
        if let Some(folder) = &self.folder
            && locks.files.is_empty()
        {
            let addresses = self.identity.addresses.iter();
            let files = addresses.map(|address| Files::open(folder, address));
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

/// How long to wait before the next try, after so long a wait: a fiftieth of it.
pub(crate) fn pace(waited: Duration, longest: Duration) -> Duration {
    (waited / 50).clamp(Duration::from_millis(1), longest)
}

/// Names the folder.
const VARIABLE: &str = if cfg!(windows) {
    "LOCALAPPDATA"
} else {
    "XDG_RUNTIME_DIR"
};

fn warn_once(error: &io::Error) {
    log::warn_once!(
        %error,
        "the files by which programs agree on local services cannot be used: several programs \
         on one port may get in each other's way; make {VARIABLE} a folder of your own, on \
         a file system with locks"
    );
}
