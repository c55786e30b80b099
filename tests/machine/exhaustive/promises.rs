//! What must hold after every step.

use super::{
    Violation, ensure,
    world::{Address, Room, Stands, Told, World},
};
use crate::machine::Stage;

impl World {
    pub(super) fn promises(&self) -> Result<(), Violation> {
        self.leases_are_counted()?;
        self.waiters_are_known()?;
        self.waiters_have_a_reason()?;
        self.ready_is_true()?;
        self.uses_are_known()?;
        self.nothing_is_left()
    }

    fn leases_are_counted(&self) -> Result<(), Violation> {
        let out = self.holders(self.word.instance());
        ensure(
            self.word.count() == out,
            "leases counted are not leases out",
        )
    }

    fn waiters_are_known(&self) -> Result<(), Violation> {
        for (index, client) in self.clients.iter().enumerate() {
            let waiting = &self.machine.common.waiters.waiting;
            let known = waiting.contains_key(&self.waiter(index));
            ensure(
                known || client.stands != Stands::Waiting,
                "a waiter was forgotten",
            )?;
        }
        Ok(())
    }

    /// A caller that waits, waits for something.
    fn waiters_have_a_reason(&self) -> Result<(), Violation> {
        let works = self.probing
            || self.launching.asks
            || self.launching.commanding
            || self.renewing
            || self.knocking
            || self.spawning
            || self.woken
            || matches!(self.address, Address::Asked { .. })
            || self.machine.deadline().is_some()
            || self.process.is_some()
            // A lease ends some day, here and elsewhere.
            || self.word.count() > 0
            || self.lent_seen;
        ensure(works || !self.is_waited_for(), "a waiter is stranded")?;
        ensure(works || !self.stop_waits, "a stop is stranded")
    }

    fn ready_is_true(&self) -> Result<(), Violation> {
        let owned = match &self.machine.stage {
            Stage::Serving(_) => true,
            Stage::Borrowing(_) => false,
            _ => return Ok(()),
        };
        let told_alive = self.process.is_some_and(|process| !process.told);
        ensure(told_alive == owned, "ready on a corpse")?;
        let contested = self.told == Told::Contested;
        ensure(
            !contested || !self.word.is_open(),
            "another waits for an instance that stays open",
        )?;
        let idle = self.word.count() == 0 && !self.lent_seen && !self.woken;
        let corpse = self.process.is_some_and(|process| process.dead);
        ensure(
            !self.awaited || !idle || self.is_lent() || corpse,
            "another waits for an idle instance that does not say so",
        )?;
        // One that is closed for another service waits for that.
        let looks = self.knocking || self.machine.is_looking_for_use();
        let kept = self.machine.common.policy.keep_ready;
        let timed = self.machine.deadline().is_some() || looks || contested || kept;
        ensure(!owned || !idle || timed || corpse, "idle without a timer")
    }

    /// While leases can be taken on a peer's server, or are out, the peer knows that it is used.
    fn uses_are_known(&self) -> Result<(), Violation> {
        let may_take = self.word.is_open() && !self.word.is_suspect();
        let is_used = self.borrowed && (may_take || self.word.count() > 0);
        ensure(
            !is_used || self.uses_peer,
            "a lease on a peer's server that the peer does not know of",
        )?;
        let ends = self.machine.deadline().is_some() || self.knocking || self.renewing;
        let held = self.word.count() > 0 || self.woken;
        let negotiates = matches!(self.address, Address::Guest { .. });
        ensure(
            !self.uses_peer || ends || held || negotiates,
            "a use of a peer's server that nothing ends",
        )
    }

    fn nothing_is_left(&self) -> Result<(), Violation> {
        let stopped = matches!(self.machine.stage, Stage::Stopped);
        let runs = self.process.is_some() || self.spawning;
        ensure(!stopped || !runs, "an orphan")?;
        ensure(
            !stopped || self.address == Address::NotOurs,
            "an address was kept",
        )?;
        ensure(!stopped || !self.uses_peer, "a peer's server was kept")?;
        let has_address = matches!(self.address, Address::Ours { .. });
        ensure(has_address || self.room == Room::NotOurs, "room was kept")?;
        // A process that nothing can kill is all that may outlive its handles.
        let works = runs || self.probing || self.machine.deadline().is_some();
        ensure(
            !self.handles_gone || self.finished || works,
            "the task continues without a handle",
        )
    }
}
