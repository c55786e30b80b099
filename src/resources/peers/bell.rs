//! How the owner of an address hears that a peer needs it: the peer is connected to a socket for as long as it waits,
//! so that it need not say when it is gone.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
    task::{Context, Poll},
};

use rustix::fs::{Mode, OFlags};
use tokio::net::{UnixListener, UnixStream};

use super::warn_once;

/// The owner's side; it costs nothing while no program rings.
#[derive(Debug)]
pub(crate) struct Bell {
    paths: Vec<PathBuf>,
    listeners: Vec<UnixListener>,
    callers: Vec<UnixStream>,
}

impl Bell {
    /// One bell with a socket at each path. Only the owner of the address may hang it: a file that exists is left
    /// of an owner that died.
    pub(crate) fn hang(paths: Vec<PathBuf>) -> Self {
        let listeners: io::Result<_> = paths.iter().map(|path| listen(path)).collect();
        let listeners = listeners.unwrap_or_else(|error| {
            warn_once(&error);
            Vec::new()
        });
        Self {
            paths,
            listeners,
            callers: Vec::new(),
        }
    }

    /// Whether a peer needs the address.
    pub(crate) fn is_rung(&self) -> bool {
        !self.callers.is_empty()
    }

    /// Resolves when a peer has come or gone. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        std::future::poll_fn(|cx| self.poll_changed(cx)).await;
    }

    fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = self.callers.len();
        self.callers.retain(|caller| stays(caller, cx));
        let mut changed = self.callers.len() != before;
        for listener in &self.listeners {
            while let Poll::Ready(accepted) = listener.poll_accept(cx) {
                let Ok((caller, _)) = accepted else {
                    // Out of descriptors: it is tried again with the next event.
                    break;
                };
                if stays(&caller, cx) {
                    self.callers.push(caller);
                    changed = true;
                }
            }
        }
        if changed {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        for path in &self.paths {
            drop(fs::remove_file(path));
        }
    }
}

/// Resolves when a peer has come to this bell, or gone; without one, never. Cancel safe.
pub(crate) async fn rung(bell: Option<&mut Bell>) {
    match bell {
        Some(bell) => bell.changed().await,
        None => std::future::pending().await,
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    drop(fs::remove_file(path));
    ShortPath::of(path)
        .and_then(|short| UnixListener::bind(short.as_path()))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    let short = ShortPath::of(path)?;
    UnixStream::connect(short.as_path()).await
}

/// The name of a socket may have 107 bytes (103 on macOS), and that of a user's runtime folder can be longer. Linux also
/// reaches it through a descriptor of its folder.
struct ShortPath {
    path: PathBuf,
    /// Open as long as the path is used.
    _folder: Option<OwnedFd>,
}

impl ShortPath {
    const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

    fn of(path: &Path) -> io::Result<Self> {
        let is_short = path.as_os_str().len() <= Self::LONGEST;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if is_short || !cfg!(target_os = "linux") {
            return Ok(Self {
                path: path.to_owned(),
                _folder: None,
            });
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(folder, flags, Mode::empty())?;
        let path = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
        Ok(Self {
            path: path.join(name),
            _folder: Some(folder),
        })
    }

    fn as_path(&self) -> &Path {
        &self.path
    }
}

/// Whether the other side is connected; wakes the task when it is not any more.
fn stays(caller: &UnixStream, cx: &mut Context<'_>) -> bool {
    while let Poll::Ready(ready) = caller.poll_read_ready(cx) {
        match ready.and_then(|()| caller.try_read(&mut [0; 16])) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return false,
        }
    }
    true
}

/// The side of the peer that waits; dropping it ends the wait.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    line: Option<UnixStream>,
}

impl Ring {
    /// Rings, unless the owner hears it already.
    pub(crate) async fn at(&mut self, bell: &Path) {
        let is_open = |line: &UnixStream| {
            let read = line.try_read(&mut [0]);
            read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        if !self.line.as_ref().is_some_and(is_open) {
            // An owner without a bell is asked again: it may be about to hang one.
            self.line = connect(bell).await.ok();
        }
    }

    pub(crate) fn stop(&mut self) {
        self.line = None;
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_bell_in_a_folder_with_a_long_path_is_heard() {
        let name = format!("local-service-bell-{}", std::process::id());
        let scratch = env::temp_dir().join(name);
        let folder = scratch.join("x".repeat(200)).join("y".repeat(100));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("localhost-8080-4026531840.bell");
        let mut bell = Bell::hang(vec![path.clone()]);
        let mut ring = Ring::default();
        let heard = async {
            ring.at(&path).await;
            bell.changed().await;
        };
        let limit = std::time::Duration::from_secs(20);
        tokio::time::timeout(limit, heard)
            .await
            .expect("it is heard");
        assert!(bell.is_rung());
        drop(bell);
        assert!(!path.exists());
        fs::remove_dir_all(&scratch).unwrap();
    }
}
