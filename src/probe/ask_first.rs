//! A stream that is read only after something was written to it.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Holds back what the server sends until the request has begun to go out.
///
/// hyper reads before it writes, and reports bytes that arrive before the request as an error without
/// a kind. Whether a server that speaks first (SSH, say) is recognized as not HTTP would then depend on
/// when its first bytes arrive, and so on the load of the machine.
///
/// One task must poll both directions.
pub(super) struct AskFirst<S> {
    stream: S,
    asked: bool,
}

impl<S> AskFirst<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            asked: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for AskFirst<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            // The first write wakes the task.
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AskFirst<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf));
        if !mem::replace(&mut self.asked, true) {
            cx.waker().wake_by_ref();
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
