//! The future of a response.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::response::HoldLease;
use crate::{
    error::{BoxError, Error},
    leases::Outcome,
    service::{Lease, LocalService, Watch},
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
    /// stopped under the request ([`Stopped`](crate::ErrorKind::Stopped)), or that its process has ended
    /// and the wrapped client still waits for it 2 s later ([`Exited`](crate::ErrorKind::Exited)); or
    /// the wrapped client's own error.
    ///
    /// # Cancel safety
    ///
    /// Dropping it at any time is harmless: a start goes on by itself, and a lease is given back.
    ///
    /// # Panics
    ///
    /// If it is polled again after it was ready.
    pub struct ResponseFuture<S, Req>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S::Future>,
        // Stays where it is until it is sent: a request may be large.
        call: Option<(S, Req)>,
        lease: Option<Lease>,
        over: Watch,
    }
}

type Acquire = Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send>>;

pin_project! {
    #[project = StateProj]
    enum State<F> {
        // Waiting for the wrapped client to be ready; before that, the service is asked for a lease. Without
        // one, the request passes through.
        Preparing { service: Option<LocalService> },
        // Waiting for the local server to run.
        Acquiring { acquire: Acquire },
        // Waiting for the response head.
        Responding { #[pin] response: F },
        Failed { error: Option<Error> },
    }
}

impl<S, Req> ResponseFuture<S, Req>
where
    S: Service<Req>,
{
    pub(crate) fn new(service: Option<LocalService>, inner: S, request: Req) -> Self {
        Self {
            state: State::Preparing { service },
            call: Some((inner, request)),
            lease: None,
            over: Watch::default(),
        }
    }

    pub(crate) fn failed(error: Error) -> Self {
        Self {
            state: State::Failed { error: Some(error) },
            call: None,
            lease: None,
            over: Watch::default(),
        }
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
        const DONE: &str = "`ResponseFuture` polled after completion";
        let mut this = self.project();

        loop {
            match this.state.as_mut().project() {
                StateProj::Preparing { service } => {
                    if let Some(service) = service.take() {
                        match service.try_into_lease() {
                            Ok(lease) => *this.lease = Some(lease.begin()),
                            Err(service) => {
                                let acquire = Box::pin(async move { service.acquire().await });
                                this.state.set(State::Acquiring { acquire });
                                continue;
                            }
                        }
                    }
                    let (inner, _) = this.call.as_mut().expect(DONE);
                    match inner.poll_ready(cx) {
                        Poll::Ready(readied) => readied.map_err(Into::into)?,
                        Poll::Pending => {
                            return this.over.poll_unanswerable(this.lease.as_ref(), cx);
                        }
                    }
                    let (mut inner, request) = this.call.take().expect(DONE);
                    let response = inner.call(request);
                    this.state.set(State::Responding { response });
                }
                StateProj::Acquiring { acquire } => {
                    let lease = ready!(acquire.as_mut().poll(cx))?;
                    *this.lease = Some(lease.begin());
                    this.state.set(State::Preparing { service: None });
                }
                StateProj::Responding { response } => {
                    return match response.poll(cx) {
                        Poll::Ready(Ok(response)) => {
                            Poll::Ready(Ok(response.hold(this.lease.take())))
                        }
                        Poll::Ready(Err(error)) => {
                            Poll::Ready(Err(blame(this.lease.take(), error)))
                        }
                        Poll::Pending => this.over.poll_unanswerable(this.lease.as_ref(), cx),
                    };
                }
                StateProj::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect(DONE).into()));
                }
            }
        }
    }
}

/// An error before a response head: if the server was stopped under the request, that is why;
/// otherwise the next request asks first whether it still lives.
fn blame<E: Into<BoxError>>(lease: Option<Lease>, error: E) -> BoxError {
    let stopped = lease.and_then(|mut lease| {
        lease.reached(Outcome::Unanswered);
        lease.suspect();
        lease.stopped()
    });
    stopped.map_or_else(|| error.into(), Into::into)
}

impl<S, Req> fmt::Debug for ResponseFuture<S, Req>
where
    S: Service<Req>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Preparing { .. } => "Preparing",
            State::Acquiring { .. } => "Acquiring",
            State::Responding { .. } => "Responding",
            State::Failed { .. } => "Failed",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}
