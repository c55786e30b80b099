//! A stream that is heard only after it was spoken to.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Holds back what the peer says until something was written.
///
/// hyper listens before it writes, and takes what it hears then for an error without a name. A
/// banner or a hasty answer that is already there would thus look different from one that comes a
/// moment later, and which it is would depend on the machine's load.
pub(super) struct AskFirst<S> {
    stream: S,
    asked: bool,
    listener: Option<Waker>,
}

impl<S> AskFirst<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            asked: false,
            listener: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AskFirst<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.asked {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        self.listener = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AskFirst<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        self.asked = true;
        if let Some(listener) = self.listener.take() {
            listener.wake();
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
