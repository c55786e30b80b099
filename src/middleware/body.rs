//! The body of a response, with the lease that it holds.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::sync::oneshot;

use crate::{
    error::BoxError,
    leases::Outcome,
    service::{Lease, Watch},
};

pin_project! {
    /// A response body that keeps the local server running until it ends, fails, or is dropped.
    ///
    /// Frames, trailers, size hint and end come through unchanged, errors as [`BoxError`]. It ends with
    /// an [`Error`](crate::Error) of this crate if the server is stopped under it, or dies under a body
    /// that nothing but the end of its connection delimits (HTTP/1.0 style).
    ///
    /// The lease ends with the last frame, an error, or the body itself, whichever comes first: read it
    /// to its end or drop it. A body that is kept and not read keeps the server running.
    pub struct LeasedBody<B> {
        #[pin]
        inner: B,
        // `None` once the body has ended, so that idleness is counted from there and not from
        // whenever the caller drops it.
        lease: Option<Lease>,
        stopped: Watch,
        // Nothing but the end of the connection delimits it.
        is_unbounded: bool,
        // Its connection has ended, and we ask whether its server goes on.
        confirming: Option<oneshot::Receiver<bool>>,
        has_failed: bool,
    }
}

impl<B: Body> LeasedBody<B> {
    pub(crate) fn new(inner: B, mut lease: Option<Lease>, is_unbounded: bool) -> Self {
        if inner.is_end_stream() {
            complete(&mut lease);
        }
        Self {
            inner,
            lease,
            stopped: Watch::default(),
            is_unbounded,
            confirming: None,
            has_failed: false,
        }
    }
}

impl<B> LeasedBody<B> {
    /// The wrapped body.
    pub fn get_ref(&self) -> &B {
        &self.inner
    }
}

impl<B> Body for LeasedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        if *this.has_failed {
            return Poll::Ready(None);
        }
        let Some(lease) = this.lease else {
            return this.inner.poll_frame(cx).map_err(Into::into);
        };

        let end = if this.confirming.is_some() {
            Ok(())
        } else if let Some(error) = lease.stopped() {
            Err(error.into())
        } else {
            match this.inner.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // A reader that knows the length stops after the last data frame and never sees `None`.
                    if frame.is_trailers() || this.inner.is_end_stream() {
                        complete(this.lease);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(error))) => Err(error.into()),
                Poll::Ready(None) => Ok(()),
                Poll::Pending => Err(ready!(this.stopped.poll_stopped(lease, cx)).into()),
            }
        };
        let end = match end {
            Ok(()) if *this.is_unbounded => {
                let confirming = this.confirming.get_or_insert_with(|| lease.confirm());
                let goes_on = ready!(Pin::new(confirming).poll(cx)).unwrap_or(false);
                if goes_on {
                    Ok(())
                } else {
                    Err(lease.death().into())
                }
            }
            Err(error) => {
                // Most likely its server has died, and the next request had better not go there.
                lease.suspect();
                // The connection of a server that was stopped breaks; that it was is the better news.
                Err(lease.stopped().map_or(error, Into::into))
            }
            Ok(()) => Ok(()),
        };

        Poll::Ready(match end {
            Ok(()) => {
                complete(this.lease);
                None
            }
            Err(error) => {
                *this.has_failed = true;
                *this.lease = None;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        // Until it is confirmed, the end of an unbounded body is none.
        let confirmed = !self.is_unbounded || self.lease.is_none();
        self.has_failed || (confirmed && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The response came to the end of its body.
fn complete(lease: &mut Option<Lease>) {
    if let Some(lease) = lease {
        lease.reached(Outcome::Completed);
    }
    *lease = None;
}

impl<B: fmt::Debug> fmt::Debug for LeasedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedBody")
            .field("inner", &self.inner)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
