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
    error::{BoxError, CutOff},
    leases::Outcome,
    service::{BrokenOff, Lease},
};

pin_project! {
    /// A response body that keeps the local server running until it ends, fails, or is dropped.
    ///
    /// Frames, trailers, size hint and end come through unchanged, errors as [`BoxError`]. It ends with
    /// an [`Error`](crate::Error) of this crate if the server is stopped or dies under it. If it breaks, it
    /// waits up to 100 ms to know whether the server has died; the client's error is then the
    /// [source](std::error::Error::source).
    ///
    /// The lease ends with the last frame, an error, or the body itself, whichever comes first: read it
    /// to its end or drop it. A body that is kept and not read keeps the server running.
    ///
    /// The default is the default of `B`, without a lease: for layers that answer by themselves, such as
    /// `TimeoutLayer` of tower-http.
    /// # Example
    ///
    /// Reading it piece by piece, as any other body. After the last piece the server may become idle:
    ///
    /// ```
    /// use http_body_util::BodyExt;
    /// use hyper::body::Bytes;
    /// use tower_local_service::{BoxError, body::LeasedBody};
    ///
    /// async fn print<B>(mut body: LeasedBody<B>) -> Result<(), BoxError>
    /// where
    ///     B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
    /// {
    ///     while let Some(frame) = body.frame().await {
    ///         if let Ok(data) = frame?.into_data() {
    ///             print!("{}", String::from_utf8_lossy(&data));
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub struct LeasedBody<B> {
        #[pin]
        inner: B,
        // `None` once the body has ended: idleness counts from there, and not from when the caller drops
        // the body.
        lease: Option<Lease>,
        end: End,
    }
}

/// What tells the end of the body.
enum End {
    /// The body itself.
    Body,
    /// Only the end of its connection. So we ask whether the server still runs, or has died and cut it off.
    Connection,
    /// We have asked.
    Confirming { confirmed: oneshot::Receiver<bool> },
    /// It broke, and perhaps because the server died.
    Broken { reason: Box<BrokenOff> },
    /// It has failed, and nothing comes after that.
    Failed,
}

impl<B: Body> LeasedBody<B> {
    #[inline]
    pub(super) fn new(inner: B, mut lease: Option<Lease>, is_unbounded: bool) -> Self {
        if inner.is_end_stream() {
            complete(&mut lease);
        }
        let end = if is_unbounded {
            End::Connection
        } else {
            End::Body
        };
        Self { inner, lease, end }
    }
}

impl<B> LeasedBody<B> {
    /// The wrapped body.
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// The wrapped body. What you read from it directly, the lease does not notice.
    pub const fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The wrapped body, without its lease, which ends now. To keep it, clone
    /// [`lease`](Self::lease) before.
    pub fn into_inner(self) -> B {
        self.inner
    }

    /// The lease that it holds; `None` once it has ended, and for a request that passed through.
    pub const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
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
        let Some(lease) = this.lease else {
            return match this.end {
                End::Failed => Poll::Ready(None),
                End::Broken { .. } => this.end.poll_reason(cx).map(|error| Some(Err(error))),
                _ => this.inner.poll_frame(cx).map_err(Into::into),
            };
        };
        let ended = if let End::Confirming { .. } = this.end {
            ready!(this.end.poll_confirmed(lease, cx))
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
                Poll::Ready(None) => ready!(this.end.poll_confirmed(lease, cx)),
                Poll::Pending => Err(ready!(lease.poll_stopped(cx)).into()),
            }
        };
        match ended {
            Ok(()) => {
                complete(this.lease);
                Poll::Ready(None)
            }
            Err(error) => {
                this.end.fail(this.lease, error);
                this.end.poll_reason(cx).map(|error| Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.end {
            End::Failed => true,
            End::Broken { .. } => false,
            End::Body => self.inner.is_end_stream(),
            // Until it is confirmed, there is no end.
            End::Connection | End::Confirming { .. } => {
                self.lease.is_none() && self.inner.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl End {
    /// The body or its connection has ended: an error if that does not end the response.
    fn poll_confirmed(
        &mut self,
        lease: &Lease,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), BoxError>> {
        if let Self::Connection = self {
            let confirmed = lease.confirm();
            *self = Self::Confirming { confirmed };
        }
        let Self::Confirming { confirmed } = self else {
            return Poll::Ready(Ok(()));
        };
        let runs = ready!(Pin::new(confirmed).poll(cx)).unwrap_or(false);
        Poll::Ready(if runs {
            Ok(())
        } else {
            Err(lease.death().cut_off(CutOff::Body).into())
        })
    }

    #[cold]
    fn fail(&mut self, lease: &mut Option<Lease>, error: BoxError) {
        if let Some(lease) = lease.take() {
            let reason = Box::new(BrokenOff::new(lease, error, CutOff::Body));
            *self = Self::Broken { reason };
        }
    }

    /// Why it broke.
    fn poll_reason(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        let Self::Broken { reason } = self else {
            return Poll::Pending;
        };
        let error = ready!(Pin::new(&mut **reason).poll(cx));
        *self = Self::Failed;
        Poll::Ready(error)
    }
}

/// The response came to the end of its body.
#[inline]
fn complete(lease: &mut Option<Lease>) {
    if let Some(lease) = lease {
        lease.reached(Outcome::Completed);
    }
    *lease = None;
}

impl<B: Default> Default for LeasedBody<B> {
    fn default() -> Self {
        Self {
            inner: B::default(),
            lease: None,
            end: End::Body,
        }
    }
}

impl<B: fmt::Debug> fmt::Debug for LeasedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasedBody")
            .field("inner", &self.inner)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
