//! What other services have to know of this one, as long as it has a place among them.

use super::{AfterGone, Machine, Stage, Time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// It waits for its address or for room.
    Waits {
        /// It makes none leave, and keeps none waiting.
        is_polite: bool,
        /// When the first caller has waited for half of its swap timeout.
        impatient_at: Time,
    },
    /// It starts a server, or looks for one.
    Starts {
        /// Requests wait for it.
        wanted: bool,
    },
    /// It gives out leases, or did until it was closed.
    Serves,
    /// Its process ends.
    Leaves,
}

impl Machine {
    /// `None` if it neither has nor wants anything.
    pub(crate) fn situation(&self) -> Option<Situation> {
        let wanted = !self.common.waiters.are_polite() && !self.common.retired;
        let stopped = |after: &AfterGone| !matches!(after, AfterGone::DiedLoading { .. });
        Some(match &self.stage {
            Stage::Stopped | Stage::Borrowing(_) => return None,
            Stage::Claiming(_) => Situation::Waits {
                is_polite: self.common.waiters.are_polite(),
                impatient_at: self.common.waiters.first_half(self.common.claimed_at),
            },
            // It has the address, which a retired service does not keep from others.
            Stage::Room(_) => Situation::Waits {
                is_polite: !wanted,
                impatient_at: self.common.waiters.first_half(self.common.claimed_at),
            },
            Stage::Serving(_) => Situation::Serves,
            Stage::Stopping(it) if stopped(&it.after) => Situation::Leaves,
            Stage::AwaitingPort(it) if stopped(&it.after) => Situation::Leaves,
            Stage::Inspecting(_)
            | Stage::Spawning(_)
            | Stage::Loading(_)
            | Stage::Stopping(_)
            | Stage::AwaitingPort(_) => Situation::Starts { wanted },
            // What it has does not come back.
            Stage::Unkillable => Situation::Starts { wanted: true },
        })
    }
}
