//! Waiting for what the process needs beside its address.
//!
//! The address is held meanwhile: the look has found nothing there.

use super::{Action, Claim, Common, Failure, Stage, Standing, Time};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Room {
    /// When the first waiter has waited for its swap timeout, for the address and for room together.
    pub(crate) due: Time,
    /// Our process has lost the port once already.
    pub(crate) respawned: bool,
}

impl Room {
    pub(super) fn begin(respawned: bool, cx: &mut Common) -> Self {
        cx.act(Action::ClaimRoom);
        let due = cx.waiters.first_due(cx.claimed_at);
        Self { due, respawned }
    }

    pub(super) fn joined(self, cx: &Common) -> Stage {
        let due = cx.waiters.first_due(cx.claimed_at);
        Stage::Room(Self { due, ..self })
    }

    /// It may need less than before, or more; what needs nothing gets that at once.
    pub(super) fn policy_changed(self, cx: &mut Common) -> Stage {
        cx.act(Action::ClaimRoom);
        Stage::Room(self)
    }

    pub(super) fn answered(self, claim: Claim, cx: &mut Common) -> Stage {
        match claim {
            // The wait may have been long, so what is at the address is looked at once more.
            Claim::Room => Stage::inspecting(Standing::Owner, self.respawned, cx),
            Claim::NoRoom => {
                cx.fail_all(Failure::NoRoom);
                cx.rest()
            }
            _ => Stage::Room(self),
        }
    }

    /// The callers that have waited for their swap timeout get an error; the others wait on.
    pub(super) fn timed_out(self, cx: &mut Common) -> Stage {
        let late = cx.waiters.take_late(cx.claimed_at, cx.now);
        if !late.is_empty() {
            cx.act(Action::Fail(late, Failure::NoRoom));
        }
        if cx.waiters.is_empty() {
            return cx.rest();
        }
        self.joined(cx)
    }
}
