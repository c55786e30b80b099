//! The socket of the engine.

/// Whether this crate can talk to an engine here.
pub(super) const IS_SUPPORTED: bool = cfg!(all(unix, not(tower_local_service_unsupported)));

#[cfg(all(unix, not(tower_local_service_unsupported)))]
pub(super) use self::unix::{connect, connect_and_block, sight, usual};
#[cfg(any(not(unix), tower_local_service_unsupported))]
pub(super) use self::unsupported::{connect, connect_and_block, sight, usual};

#[cfg(all(unix, not(tower_local_service_unsupported)))]
mod unix {
    use std::{
        env, io,
        os::unix::net::UnixStream as BlockingStream,
        path::{Path, PathBuf},
    };

    use rustix::{
        fs::{Access, access},
        io::Errno,
        process::geteuid,
    };
    use tokio::net::UnixStream;

    use crate::launch::docker::api::Sight;

    /// Where it is, unless somebody has configured another place.
    pub(in crate::launch::docker) fn usual() -> Vec<PathBuf> {
        let of_user = env::var_os("XDG_RUNTIME_DIR").filter(|it| !it.is_empty());
        let of_user = of_user.map_or_else(
            || format!("/run/user/{}", geteuid().as_raw()).into(),
            PathBuf::from,
        );
        vec![
            "/var/run/docker.sock".into(),
            of_user.join("docker.sock"),
            of_user.join("podman/podman.sock"),
            "/run/podman/podman.sock".into(),
        ]
    }

    pub(in crate::launch::docker) fn sight(socket: &Path) -> Sight {
        match access(socket, Access::READ_OK | Access::WRITE_OK) {
            Ok(()) => Sight::Usable,
            Err(Errno::NOENT | Errno::NOTDIR) => Sight::Missing,
            Err(_) => Sight::Forbidden,
        }
    }

    pub(in crate::launch::docker) async fn connect(socket: &Path) -> io::Result<UnixStream> {
        UnixStream::connect(socket).await
    }

    pub(in crate::launch::docker) fn connect_and_block(
        socket: &Path,
    ) -> io::Result<BlockingStream> {
        BlockingStream::connect(socket)
    }
}

#[cfg(any(not(unix), tower_local_service_unsupported))]
mod unsupported {
    use std::{
        io,
        net::TcpStream as BlockingStream,
        path::{Path, PathBuf},
    };

    use tokio::net::TcpStream;

    use crate::launch::docker::api::Sight;

    pub(in crate::launch::docker) fn usual() -> Vec<PathBuf> {
        Vec::new()
    }

    pub(in crate::launch::docker) fn sight(socket: &Path) -> Sight {
        match socket.try_exists() {
            Ok(true) => Sight::Usable,
            Ok(false) => Sight::Missing,
            Err(_) => Sight::Forbidden,
        }
    }

    #[expect(clippy::unused_async, reason = "others wait for the connection")]
    pub(in crate::launch::docker) async fn connect(_: &Path) -> io::Result<TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::launch::docker) fn connect_and_block(_: &Path) -> io::Result<BlockingStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
