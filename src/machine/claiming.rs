//! Waiting for the address.

use super::{Action, Claim, Common, Failure, Stage, Standing, Time};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claiming {
    /// When the first waiter has waited for its swap timeout.
    pub(crate) due: Time,
}

impl Claiming {
    pub(super) fn begin(cx: &mut Common) -> Self {
        cx.claimed_at = cx.now;
        Self::of(cx)
    }

    /// With the waiters that there are now.
    pub(super) fn of(cx: &Common) -> Self {
        let due = cx.waiters.first_due(cx.claimed_at);
        Self { due }
    }

    pub(super) fn answered(self, claim: Claim, cx: &mut Common) -> Stage {
        match claim {
            Claim::Owner => Stage::inspecting(Standing::Owner, false, cx),
            Claim::Guest { open } => Stage::inspecting(Standing::Guest { open }, false, cx),
            // A service that never makes way has it.
            Claim::NoRoom => {
                cx.fail_all(Failure::Held);
                cx.rest()
            }
            _ => Stage::Claiming(self),
        }
    }

    /// The callers that have waited for their swap timeout get an error; the others wait on.
    pub(super) fn timed_out(cx: &mut Common) -> Stage {
        let late = cx.waiters.take_late(cx.claimed_at, cx.now);
        if !late.is_empty() {
            cx.act(Action::Fail(late, Failure::Held));
        }
        if cx.waiters.is_empty() {
            return cx.rest();
        }
        Stage::Claiming(Self::of(cx))
    }
}
