//! Waiting for the address.

use super::{Action, Claim, Common, Failure, Stage, Standing, Time};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claiming {
    pub(crate) since: Time,
    /// When the first waiter has waited for its swap timeout.
    pub(crate) due: Time,
}

impl Claiming {
    pub(super) fn begin(cx: &Common) -> Self {
        let since = cx.now;
        let due = cx.waiters.first_due(since);
        Self { since, due }
    }

    pub(super) fn joined(self, cx: &Common) -> Stage {
        let due = cx.waiters.first_due(self.since);
        Stage::Claiming(Self { due, ..self })
    }

    pub(super) fn answered(self, claim: Claim, cx: &mut Common) -> Stage {
        match claim {
            Claim::Owner => Stage::inspecting(Standing::Owner, false, cx),
            Claim::Guest { open } => Stage::inspecting(Standing::Guest { open }, false, cx),
            _ => Stage::Claiming(self),
        }
    }

    /// The callers that have waited for their swap timeout get an error; the others wait on.
    pub(super) fn timed_out(self, cx: &mut Common) -> Stage {
        let late = cx.waiters.take_late(self.since, cx.now);
        if !late.is_empty() {
            cx.act(Action::Fail(late, Failure::Held));
        }
        if cx.waiters.is_empty() {
            return cx.rest();
        }
        self.joined(cx)
    }
}
