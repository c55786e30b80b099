//! Answers to requests that could not be sent to their end.
//!
//! A server that refuses a long prompt answers, closes, and reads no more. The client would give up at the
//! first write that fails, and lose the answer, which has arrived by then.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};

/// A connection to a server. When it takes no more, the rest is dropped, and what it has answered is read:
/// an answer, or the error with which a read ends.
#[derive(Debug)]
pub(crate) struct EarlyAnswer<T> {
    connection: T,
    takes_no_more: bool,
}

impl<T> EarlyAnswer<T> {
    pub(crate) const fn new(connection: T) -> Self {
        Self {
            connection,
            takes_no_more: false,
        }
    }

    fn poll_io<R>(
        &mut self,
        dropped: R,
        poll: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>>
    where
        T: Unpin,
    {
        if self.takes_no_more {
            return Poll::Ready(Ok(dropped));
        }
        let result = ready!(poll(Pin::new(&mut self.connection)));
        let result = result.or_else(|error| match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                self.takes_no_more = true;
                Ok(dropped)
            }
            _ => Err(error),
        });
        Poll::Ready(result)
    }
}

impl<T: Read + Unpin> Read for EarlyAnswer<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buffer)
    }
}

impl<T: Write + Unpin> Write for EarlyAnswer<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(bytes.len(), |it| it.poll_write(cx, bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = bytes.iter().map(|it| it.len()).sum();
        self.poll_io(length, |it| it.poll_write_vectored(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_io((), |it| it.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_io((), |it| it.poll_shutdown(cx))
    }
}

impl<T: Connection> Connection for EarlyAnswer<T> {
    fn connected(&self) -> Connected {
        self.connection.connected()
    }
}
