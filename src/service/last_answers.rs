//! A request whose client waits forever for a server that has died: hyper forgets a request that it hands to
//! a connection in the instant in which that closes (<https://github.com/hyperium/hyper/issues/4122>).
//!
//! Once that is mended in the versions of hyper that clients use, this file can go, and
//! [`poll_stopped`](Lease::poll_stopped) takes the place of its function.

use std::task::{Context, Poll};

use super::lease::Lease;
use crate::{
    error::{CutOff, Error},
    machine::InstanceEnd,
};

impl Lease {
    /// For a request without an answer: the error of this crate, if none can come any more; otherwise wakes the task
    /// when that is so.
    pub(crate) fn poll_unanswerable(&mut self, cx: &Context<'_>) -> Poll<Error> {
        // First, so that no end falls between the two.
        self.wait(cx);
        match self.end() {
            Some(ended) if ended.end == InstanceEnd::Died && ended.answers_over => {
                Poll::Ready(self.death().cut_off(CutOff::Answer))
            }
            _ => self.stopped().map_or(Poll::Pending, Poll::Ready),
        }
    }
}
