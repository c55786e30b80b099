//! Sockets of the file system.

use std::{
    fs, io,
    os::fd::{AsRawFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode, OFlags};
pub(in crate::resources::peers) use tokio::net::{UnixListener as Listener, UnixStream as Line};

pub(in crate::resources::peers) fn listen(path: &Path) -> io::Result<Listener> {
    drop(fs::remove_file(path));
    ShortPath::of(path)
        .and_then(|short| Listener::bind(short.as_path()))
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

pub(in crate::resources::peers) async fn connect(path: &Path) -> io::Result<Line> {
    let short = ShortPath::of(path)?;
    Line::connect(short.as_path()).await
}

const REACHES_ALL: bool = cfg!(all(target_os = "linux", not(tower_local_service_portable)));

/// The name of a socket may have 107 bytes (103 on macOS), and that of a user's runtime folder can be longer. Linux also
/// reaches it through a descriptor of its folder. Elsewhere there is then no bell.
struct ShortPath {
    path: PathBuf,
    /// Open as long as the path is used.
    _folder: Option<OwnedFd>,
}

impl ShortPath {
    const LONGEST: usize = if REACHES_ALL { 107 } else { 103 };

    fn of(path: &Path) -> io::Result<Self> {
        let is_short = path.as_os_str().len() <= Self::LONGEST;
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if !is_short && !REACHES_ALL {
            let longest = Self::LONGEST;
            let error = format!(
                "its name has more than the {longest} bytes that a socket can have: choose a folder with a shorter path"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, error));
        }
        if is_short {
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

#[cfg(all(test, target_os = "linux", not(tower_local_service_portable)))]
mod tests {
    use std::env;

    use super::*;
    use crate::resources::peers::{Bell, Ring};

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
