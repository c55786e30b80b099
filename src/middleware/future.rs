//! The future of a response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::response::HoldLease;
use crate::{
    error::{BoxError, CutOff, Error},
    leases::Outcome,
    service::{BrokenOff, Lease, LocalService},
};

pin_project! {
    /// Makes sure that the server runs, then sends the request.
    ///
    /// Nothing happens before it is first polled. It needs no runtime, beyond what the wrapped client
    /// needs.
    ///
    /// # Errors
    ///
    /// What kept the server from being ready, as an [`Error`] of this crate; that the server was
    /// stopped under the request ([`Stopped`](crate::ErrorKind::Stopped)) or died
    /// ([`Exited`](crate::ErrorKind::Exited), with the client's error as its
    /// [source](std::error::Error::source)); or the wrapped client's own error. After an error of the client it
    /// waits up to 100 ms to know whether the server has died. It also fails if the process has ended and the
    /// wrapped client still waits for it 2 s later.
    ///
    /// # Cancel safety
    ///
    /// You may drop it at any time: a start continues without it, and its lease is given back.
    ///
    /// # Panics
    ///
    /// If it is polled again after it was ready.
    /// # Example
    ///
    /// It has a name, so that a struct of yours can hold it without a box:
    ///
    /// ```
    /// use tower::Service;
    /// use tower_local_service::{EnsureLocalService, future::ResponseFuture};
    ///
    /// fn send<C, Req>(client: &mut EnsureLocalService<C>, request: Req) -> ResponseFuture<C, Req>
    /// where
    ///     C: Service<Req>,
    ///     EnsureLocalService<C>: Service<Req, Future = ResponseFuture<C, Req>>,
    /// {
    ///     client.call(request)
    /// }
    /// ```
    pub struct ResponseFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S, Req, S::Future>,
        // From when the server is ready until the response holds it; none for a request that passes through.
        lease: Option<Lease>,
    }
}

type Acquire = Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send>>;

pin_project! {
    #[project = StateProj]
    #[project_replace = StateOwn]
    enum State<S, Req, F> {
        // The service is asked for a lease.
        Asking { service: LocalService, call: Call<S, Req> },
        // The local server starts.
        Acquiring { acquire: Acquire, call: Call<S, Req> },
        // The wrapped client gets ready.
        Readying { call: Call<S, Req> },
        // The request is sent.
        Responding { #[pin] response: F },
        // The request broke, and perhaps because the server died.
        Broken { reason: Box<BrokenOff> },
        Failed { error: Error },
        Done,
    }
}

/// A client of its own for the request.
struct Call<S, Req> {
    inner: S,
    request: Req,
}

impl<S, Req> ResponseFuture<S, Req>
where
    S: Service<Req>,
{
    #[inline]
    pub(super) fn new(service: Option<LocalService>, inner: S, request: Req) -> Self {
        let call = Call { inner, request };
        Self::in_state(match service {
            Some(service) => State::Asking { service, call },
            None => State::Readying { call },
        })
    }

    pub(super) fn failed(error: Error) -> Self {
        Self::in_state(State::Failed { error })
    }

    #[inline]
    fn in_state(state: State<S, Req, S::Future>) -> Self {
        let lease = None;
        Self { state, lease }
    }
}

impl<S, Req> Future for ResponseFuture<S, Req>
where
    S: Service<Req>,
    S::Response: HoldLease,
    S::Error: Into<BoxError>,
{
    type Output = Result<<S::Response as HoldLease>::Held, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut state, lease) = (this.state, this.lease);
        loop {
            if let StateProj::Responding { response } = state.as_mut().project() {
                return match response.poll(cx) {
                    Poll::Ready(Ok(response)) => Poll::Ready(Ok(response.hold(lease.take()))),
                    Poll::Ready(Err(error)) => match broken(lease.take(), error) {
                        Ok(reason) => {
                            state.set(State::Broken { reason });
                            continue;
                        }
                        Err(error) => Poll::Ready(Err(error)),
                    },
                    Poll::Pending => poll_unanswerable(lease, cx).map(Err),
                };
            }
            if let StateProj::Broken { reason } = state.as_mut().project() {
                return Pin::new(&mut **reason).poll(cx).map(Err);
            }
            let mut call = match state.as_mut().project_replace(State::Done) {
                StateOwn::Asking { service, call } => match service.try_into_lease() {
                    Ok(taken) => {
                        *lease = Some(taken.begin());
                        call
                    }
                    Err(service) => {
                        let acquire = Box::pin(async move { service.acquire().await });
                        state.set(State::Acquiring { acquire, call });
                        continue;
                    }
                },
                StateOwn::Acquiring { mut acquire, call } => match acquire.as_mut().poll(cx) {
                    Poll::Ready(acquired) => {
                        *lease = Some(acquired?.begin());
                        call
                    }
                    Poll::Pending => {
                        state.set(State::Acquiring { acquire, call });
                        return Poll::Pending;
                    }
                },
                StateOwn::Readying { call } => call,
                StateOwn::Failed { error } => return Poll::Ready(Err(error.into())),
                StateOwn::Responding { .. } | StateOwn::Broken { .. } | StateOwn::Done => {
                    panic!("`ResponseFuture` polled after completion")
                }
            };
            match call.inner.poll_ready(cx) {
                Poll::Ready(readied) => {
                    readied.map_err(Into::into)?;
                    let response = call.inner.call(call.request);
                    state.set(State::Responding { response });
                }
                Poll::Pending => {
                    state.set(State::Readying { call });
                    return poll_unanswerable(lease, cx).map(Err);
                }
            }
        }
    }
}

/// The error of this crate, if no answer can come any more. Nothing is known of a server without a lease.
fn poll_unanswerable(lease: &mut Option<Lease>, cx: &Context<'_>) -> Poll<BoxError> {
    match lease {
        Some(lease) => lease.poll_unanswerable(cx).map(Into::into),
        None => Poll::Pending,
    }
}

/// An error before a response head: of a request that passed through, or perhaps because the server died.
#[cold]
fn broken<E: Into<BoxError>>(lease: Option<Lease>, error: E) -> Result<Box<BrokenOff>, BoxError> {
    let error = error.into();
    match lease {
        Some(mut lease) => {
            lease.reached(Outcome::Unanswered);
            Ok(Box::new(BrokenOff::new(lease, error, CutOff::Answer)))
        }
        None => Err(error),
    }
}

impl<S, Req> fmt::Debug for ResponseFuture<S, Req>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Asking { .. } => "Asking",
            State::Readying { .. } => "Readying",
            State::Acquiring { .. } => "Acquiring",
            State::Responding { .. } => "Responding",
            State::Broken { .. } => "Broken",
            State::Failed { .. } => "Failed",
            State::Done => "Done",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
