//! The socket of the engine.

#[cfg(unix)]
pub(super) use self::unix::{connect, connect_and_block, usual};
#[cfg(not(unix))]
pub(super) use self::unsupported::{connect, connect_and_block, usual};

#[cfg(unix)]
mod unix {
    use std::{io, os::unix::net::UnixStream as BlockingStream, path::Path};

    use rustix::process::geteuid;
    use tokio::net::UnixStream;

    /// Where it is, unless somebody has configured another place.
    #[expect(clippy::unnecessary_wraps, reason = "as where there is none")]
    pub(in crate::launch::docker) fn usual() -> Result<[String; 4], String> {
        let user = geteuid().as_raw();
        Ok([
            "/var/run/docker.sock".to_owned(),
            format!("/run/user/{user}/docker.sock"),
            format!("/run/user/{user}/podman/podman.sock"),
            "/run/podman/podman.sock".to_owned(),
        ])
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

#[cfg(not(unix))]
mod unsupported {
    use std::{io, net::TcpStream as BlockingStream, path::Path};

    use tokio::net::TcpStream;

    pub(in crate::launch::docker) fn usual() -> Result<[String; 0], String> {
        Err("cannot be reached: this crate talks to an engine over a Unix socket only".to_owned())
    }

    #[expect(clippy::unused_async, reason = "others wait for the connection")]
    pub(in crate::launch::docker) async fn connect(_: &Path) -> io::Result<TcpStream> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::launch::docker) fn connect_and_block(_: &Path) -> io::Result<BlockingStream> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
