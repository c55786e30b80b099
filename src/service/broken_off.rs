//! A request or a body whose connection broke: did its server die, and of what?

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::sync::oneshot;

use super::lease::Lease;
use crate::{
    error::{BoxError, CutOff, Error},
    machine::InstanceEnd,
};

/// Waits until it is known whether the server has died, which takes a moment longer than its connections live.
///
/// It resolves to what the server died of, or else to the client's own error.
pub(crate) struct BrokenOff {
    lease: Lease,
    error: BoxError,
    what: CutOff,
    /// Resolves when there is nothing more to wait for; `None` where that is so from the beginning.
    known: Option<oneshot::Receiver<()>>,
}

impl BrokenOff {
    #[cold]
    pub(crate) fn new(lease: Lease, error: BoxError, what: CutOff) -> Self {
        // Most likely the server has died, and the next request should look before it goes there.
        lease.suspect();
        // An inner layer knows it already.
        let known = Error::of(&error).is_none().then(|| lease.broken_off());
        Self {
            lease,
            error,
            what,
            known,
        }
    }
}

impl Future for BrokenOff {
    type Output = BoxError;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BoxError> {
        let this = self.get_mut();
        // First, so that no end falls between the two.
        this.lease.wait(cx);
        let ended = this.lease.end().map(|it| it.end);
        if ended.is_none()
            && let Some(known) = &mut this.known
        {
            let _ = ready!(Pin::new(known).poll(cx));
        }
        let error = mem::replace(&mut this.error, "polled after it was ready".into());
        Poll::Ready(match ended {
            // The connection of a server that was stopped breaks, too.
            Some(InstanceEnd::Stopped) => this.lease.death().into(),
            Some(InstanceEnd::Died) if this.known.is_some() => {
                let death = this.lease.death().cut_off(this.what);
                death.seen_as(error).into()
            }
            _ => error,
        })
    }
}
