//! The files of one address.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    ops::Deref,
    path::{Path, PathBuf},
    sync::LazyLock,
    time::Duration,
};

use super::{clock, record::Record, text};
use crate::{config::Address, short_name::short_name};

/// So many characters of a host are in the names of its files, which may be 255 long.
const LONGEST_HOST: usize = 200;

/// So many characters of an address are in the name of its socket.
const LONGEST_SOCKET: usize = 64;

#[derive(Debug)]
pub(super) struct Files {
    pub(super) next: File,
    pub(super) owner: Told,
    users: Told,
    pub(super) bell: PathBuf,
}

impl Files {
    pub(super) fn open(folder: &Path, address: &Address) -> io::Result<Self> {
        let stem = stem(address);
        let path = |kind| folder.join(format!("{stem}.{kind}"));
        Ok(Self {
            next: open(&path("next"))?,
            owner: Told::open(&path("owner"))?,
            users: Told::open(&path("users"))?,
            bell: folder.join(format!("{}.bell", short_name(&stem, LONGEST_SOCKET))),
        })
    }

    /// Whether no program owns the address.
    pub(super) fn is_free(&self) -> io::Result<bool> {
        let is_free = granted(self.owner.try_lock_shared())?;
        if is_free {
            drop(self.owner.unlock());
        }
        Ok(is_free)
    }

    /// The record of the owner; `None` if it cannot be read.
    pub(super) fn record(&self) -> Option<Record> {
        let mut bytes = [0; Record::LONGEST];
        let length = text::read(self.owner.text(), &mut bytes).ok()?;
        Record::parse(&bytes[..length])
    }

    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        text::write(self.owner.text(), record.line().as_bytes())
    }

    /// Locks out all users, if there are none.
    pub(super) fn try_alone(&self) -> io::Result<bool> {
        granted(self.users.try_lock())
    }

    /// Becomes a user, unless the owner has locked all users out.
    pub(super) fn try_shared(&self) -> io::Result<bool> {
        granted(self.users.try_lock_shared())
    }

    pub(super) fn leave(&self) {
        // What could not be unlocked is so when it is closed.
        drop(self.users.unlock());
    }

    /// Writes down that the server was used so long ago.
    pub(super) fn note_use(&self, before: Duration) -> io::Result<()> {
        let at = u64::try_from(clock::now().saturating_sub(before).as_nanos()).unwrap_or(u64::MAX);
        text::write(self.users.text(), &at.to_le_bytes())
    }

    /// How long ago a use was last written down.
    pub(super) fn used_before(&self) -> Option<Duration> {
        let mut bytes = [0; 8];
        if text::read(self.users.text(), &mut bytes).ok()? < bytes.len() {
            return None;
        }
        // Before the last boot, the clock may have been further.
        clock::now().checked_sub(Duration::from_nanos(u64::from_le_bytes(bytes)))
    }
}

/// A file that is locked, and what it says. On Windows no other program can read or write what is locked, so that is in a
/// file of its own there.
#[derive(Debug)]
pub(super) struct Told {
    lock: File,
    #[cfg(windows)]
    text: File,
}

impl Told {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::beside(open(path)?, path)
    }

    /// The same; `None` if there is none.
    pub(super) fn open_existing(path: &Path) -> io::Result<Option<Self>> {
        let lock = open_existing(path)?;
        lock.map(|lock| Self::beside(lock, path)).transpose()
    }

    #[cfg(not(windows))]
    #[expect(clippy::unnecessary_wraps, reason = "elsewhere another file is opened")]
    fn beside(lock: File, _: &Path) -> io::Result<Self> {
        Ok(Self { lock })
    }

    #[cfg(windows)]
    fn beside(lock: File, path: &Path) -> io::Result<Self> {
        let mut name = path.as_os_str().to_owned();
        name.push(".text");
        let text = open(Path::new(&name))?;
        Ok(Self { lock, text })
    }

    #[cfg(not(windows))]
    pub(super) fn text(&self) -> &File {
        &self.lock
    }

    #[cfg(windows)]
    pub(super) fn text(&self) -> &File {
        &self.text
    }
}

/// The lock.
impl Deref for Told {
    type Target = File;

    fn deref(&self) -> &File {
        &self.lock
    }
}

/// Of this user alone, and no link.
pub(super) fn open(path: &Path) -> io::Result<File> {
    opened(path, true)
}

/// The same; `None` if there is none.
pub(super) fn open_existing(path: &Path) -> io::Result<Option<File>> {
    match opened(path, false) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn opened(path: &Path, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(create)
        .truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;

        let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
        options.mode(0o600).custom_flags(flags);
    }
    options
        .open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// The name of an address's files without their kinds.
pub(super) fn stem(address: &Address) -> String {
    let safe = |it: char| {
        if it.is_ascii_alphanumeric() || "-.".contains(it) {
            it
        } else {
            '_'
        }
    };
    let host: String = address.host.chars().map(safe).take(LONGEST_HOST).collect();
    let port = address.port;
    match *NETWORK {
        Some(network) => format!("{host}-{port}-{network}"),
        None => format!("{host}-{port}"),
    }
}

/// Containers may share a folder and not the network: their ports are not the same.
static NETWORK: LazyLock<Option<u64>> = LazyLock::new(network);

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
fn network() -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;

    Some(std::fs::metadata("/proc/self/ns/net").ok()?.ino())
}

#[cfg(not(all(target_os = "linux", not(tower_local_service_portable))))]
fn network() -> Option<u64> {
    None
}

pub(super) fn granted(tried: Result<(), TryLockError>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Locks this file of all addresses, or of none.
pub(super) fn try_all(all: &[Files], which: impl Fn(&Files) -> &File) -> io::Result<bool> {
    for (at, files) in all.iter().enumerate() {
        if !granted(which(files).try_lock())? {
            unlock_all(&all[..at], which);
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn unlock_all(all: &[Files], which: impl Fn(&Files) -> &File) {
    for files in all {
        drop(which(files).unlock());
    }
}
