//! Looking whether a server is running, before one is started.

use std::time::Duration;

use super::{Claim, Common, Failure, Policy, Sight, Stage, Time, pause};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Inspecting {
    pub(crate) standing: Standing,
    pub(crate) since: Time,
    /// How long a server that this service did not start may load.
    pub(crate) until: Time,
    /// Our process has lost the port once already: if the next one does, too, the start has failed.
    pub(crate) respawned: bool,
}

/// Whether this program owns the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    Owner,
    /// A peer's, for the same server: it is used once it is `open`.
    Guest {
        open: bool,
    },
}

impl Inspecting {
    pub(super) fn begin(standing: Standing, respawned: bool, cx: &mut Common) -> Self {
        let it = Self {
            standing,
            since: cx.now,
            until: cx.now + cx.policy.ready_timeout,
            respawned,
        };
        it.look(cx);
        it
    }

    fn look(&self, cx: &mut Common) {
        if self.standing == Standing::Owner {
            cx.condemned = false;
        }
        if self.is_probing() {
            cx.probe(Duration::ZERO);
        }
    }

    /// While the address is a peer's, its server is probed only when it cannot be stopped meanwhile; and that
    /// nothing runs there is for the owner of the address to see.
    pub(super) fn is_probing(&self) -> bool {
        self.standing != Standing::Guest { open: false }
    }

    pub(super) fn answered(mut self, claim: Claim, cx: &mut Common) -> Stage {
        match claim {
            Claim::Owner => self.standing = Standing::Owner,
            Claim::Guest { open } => self.standing = Standing::Guest { open },
            // It was a guest. Its waiters now wait for the address, at most for their swap timeouts.
            Claim::Rival => return Stage::claiming(cx),
            _ => return Stage::Inspecting(self),
        }
        self.look(cx);
        Stage::Inspecting(self)
    }

    /// The answer of a server that runs already decides whether one is started.
    pub(super) fn probed(self, sight: Sight, cx: &mut Common) -> Stage {
        let is_owner = self.standing == Standing::Owner;
        match sight {
            Sight::Ready => {
                cx.condemned = false;
                Stage::borrowing(!is_owner, cx)
            }
            Sight::Refused | Sight::Left if is_owner => Stage::room(true, self.respawned, cx),
            Sight::Down if is_owner => Stage::room(false, self.respawned, cx),
            // A peer's server has died, which its owner does not know yet; or it is loading.
            Sight::Refused | Sight::Left | Sight::Down | Sight::Loading | Sight::Silent => {
                self.wait(cx)
            }
            // Its owner was asked to make way.
            Sight::Denied | Sight::Other if cx.condemned => self.wait(cx),
            Sight::Denied | Sight::Other => {
                cx.backoff.failed = true;
                cx.fail_prober(Failure::AddressInUse);
                if cx.waiters.is_empty() {
                    return cx.rest();
                }
                cx.probe(Duration::ZERO);
                Stage::Inspecting(self)
            }
        }
    }

    fn wait(self, cx: &mut Common) -> Stage {
        cx.probe(pause(cx.now.saturating_sub(self.since)));
        Stage::Inspecting(self)
    }

    pub(super) fn left_alone(self, cx: &mut Common) -> Stage {
        if cx.retired {
            return cx.rest();
        }
        Stage::Inspecting(self)
    }

    pub(super) fn timed_out(self, cx: &mut Common) -> Stage {
        if cx.now < self.until {
            return Stage::Inspecting(self);
        }
        cx.fail_all(Failure::ReadyTimeout {
            limit: cx.policy.ready_timeout,
        });
        cx.backoff.failed = true;
        cx.rest()
    }

    pub(super) fn policy_changed(mut self, former: Policy, cx: &Common) -> Self {
        let begun = self.until.saturating_sub(former.ready_timeout);
        self.until = begun + cx.policy.ready_timeout;
        self
    }
}
