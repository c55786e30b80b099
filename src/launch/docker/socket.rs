//! The socket of the engine.

/// Whether this crate can talk to an engine here.
pub(super) const IS_SUPPORTED: bool = cfg!(all(unix, not(tower_local_service_unsupported)));

#[cfg(all(unix, not(tower_local_service_unsupported)))]
pub(super) use self::unix::{connect, connect_and_block, usual};
#[cfg(any(not(unix), tower_local_service_unsupported))]
pub(super) use self::unsupported::{connect, connect_and_block, usual};

#[cfg(all(unix, not(tower_local_service_unsupported)))]
mod unix {
    use std::{io, os::unix::net::UnixStream as BlockingStream, path::Path};

    use rustix::process::geteuid;
    use tokio::net::UnixStream;

    /// Where it is, unless somebody has configured another place.
    pub(in crate::launch::docker) fn usual() -> [String; 4] {
        let user = geteuid().as_raw();
        [
            "/var/run/docker.sock".to_owned(),
            format!("/run/user/{user}/docker.sock"),
            format!("/run/user/{user}/podman/podman.sock"),
            "/run/podman/podman.sock".to_owned(),
        ]
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
    use std::{io, net::TcpStream as BlockingStream, path::Path};

    use tokio::net::TcpStream;

    pub(in crate::launch::docker) fn usual() -> [String; 0] {
        []
    }

    #[expect(clippy::unused_async, reason = "others wait for the connection")]
    pub(in crate::launch::docker) async fn connect(_: &Path) -> io::Result<TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::launch::docker) fn connect_and_block(_: &Path) -> io::Result<BlockingStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
