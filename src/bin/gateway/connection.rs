//! One connection of a client, which may end its half of it and still wait for answers.

#[cfg(not(all(target_os = "linux", not(tower_local_service_portable))))]
use std::net::SocketAddr;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto::Builder, graceful::Watcher},
    service::TowerToHyperService,
};
use rustix::net::{RecvFlags, Shutdown};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf, Ready},
    net::TcpStream,
    time,
};

use crate::again::again;
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
use crate::sockets::is_open;

/// How often a client is looked at that has sent more than was asked for, or has ended its half.
const LOOK: Duration = Duration::from_millis(50);

/// How long a client may continue an upload that was refused. If the connection were closed before, the
/// refusal would be lost with it.
const REFUSED_UPLOAD: Duration = Duration::from_secs(5);

/// Serves a connection to its end, or until the client has hung up: its requests are dropped then, and what
/// they use is free.
///
/// HTTP/2 is spoken to clients that begin with it.
pub(crate) async fn serve(stream: TcpStream, app: Router, watcher: Watcher) {
    // Tokens are small, and none should wait for the next.
    drop(stream.set_nodelay(true));
    let stream = Arc::new(stream);
    let mut builder = Builder::new(TokioExecutor::new());
    // Otherwise a client that ends its half would count as gone.
    builder.http1().half_close(true);
    let io = TokioIo::new(Shared(stream.clone()));
    let served = builder.serve_connection_with_upgrades(io, TowerToHyperService::new(app));
    let served = again(watcher.watch(served.into_owned()));
    // Nobody waits for what comes after that.
    let is_over = tokio::select! {
        _ = served => true,
        () = hung_up(&stream) => false,
    };
    // One that has stopped being HTTP belongs to its upgrade now.
    let is_upgraded = Arc::strong_count(&stream) > 1;
    if is_over && !is_upgraded {
        drop(time::timeout(REFUSED_UPLOAD, read_away(&stream)).await);
    }
}

/// Waits until the client has closed the connection, even behind bytes that nobody has read.
///
/// What arrives when it does is the same as when it ends its half and waits. The kernel can tell them apart
/// if the client is on this machine. Other clients count as gone.
async fn hung_up(stream: &TcpStream) {
    while !has_ended(stream).await {
        time::sleep(LOOK).await;
    }
    let Ok(client) = stream.peer_addr() else {
        return;
    };
    let Ok(gateway) = stream.local_addr() else {
        return;
    };
    while is_open(client, gateway) {
        time::sleep(LOOK).await;
    }
}

async fn has_ended(stream: &TcpStream) -> bool {
    let ready = stream.ready(Interest::READABLE).await;
    ready.is_ok_and(Ready::is_read_closed)
}

/// Only Linux can tell.
#[cfg(not(all(target_os = "linux", not(tower_local_service_portable))))]
fn is_open(_: SocketAddr, _: SocketAddr) -> bool {
    false
}

/// Reads until the client is at its end.
async fn read_away(stream: &TcpStream) {
    let mut away = vec![0; 16 * 1024];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut away) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// A connection that is read and written by one, and looked at by another.
struct Shared(Arc<TcpStream>);

impl AsyncRead for Shared {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match self.read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl Shared {
    /// Reads what there is, as `TcpStream::poll_read` would: where the kernel reports each arrival once, a read that
    /// leaves room has read all, and no second one need ask whether there is more.
    fn read(&self, room: &mut [u8]) -> io::Result<usize> {
        let mut length = 0;
        let all = self.0.try_io(Interest::READABLE, || {
            (length, _) = rustix::net::recv(&*self.0, &mut *room, RecvFlags::empty())?;
            if cfg!(target_os = "linux") && 0 < length && length < room.len() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        if length == 0 {
            all.map(|()| 0)
        } else {
            Ok(length)
        }
    }

    fn poll_io(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncWrite for Shared {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(cx, |stream| stream.try_write(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(cx, |stream| stream.try_write_vectored(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(&self.0, Shutdown::Write).map_err(Into::into))
    }
}
