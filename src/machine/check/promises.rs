//! What must hold after every step.

use super::{
    Violation, ensure,
    world::{Endpoint, Stands, World},
};
use crate::machine::{Ownership, Stage};

impl World {
    pub(super) fn promises(&self) -> Result<(), Violation> {
        self.leases_are_counted()?;
        self.waiters_are_known()?;
        self.somebody_works()?;
        self.ready_is_true()?;
        self.nothing_is_left()
    }

    fn leases_are_counted(&self) -> Result<(), Violation> {
        let out = self.holders(self.word.run());
        ensure(
            self.word.count() == out,
            "leases counted are not leases out",
        )
    }

    fn waiters_are_known(&self) -> Result<(), Violation> {
        for (index, client) in self.clients.iter().enumerate() {
            let known = self.state.waiters.contains_key(&self.waiter(index));
            ensure(
                known || client.stands != Stands::Waiting,
                "a waiter was forgotten",
            )?;
        }
        Ok(())
    }

    /// Whoever waits, waits for something.
    fn somebody_works(&self) -> Result<(), Violation> {
        let works = self.probing
            || self.spawning
            || self.woken
            || matches!(self.endpoint, Endpoint::Asked { .. })
            || self.state.deadline().is_some()
            || self.process.is_some()
            // A lease ends some day, here and elsewhere.
            || self.word.count() > 0
            || self.lent_seen;
        ensure(works || !self.is_waited_for(), "a waiter is stranded")?;
        ensure(works || !self.stop_waits, "a stop is stranded")
    }

    fn ready_is_true(&self) -> Result<(), Violation> {
        let Stage::Ready(ready) = &self.state.stage else {
            return Ok(());
        };
        let told_alive = self.process.is_some_and(|process| !process.told);
        let owned = ready.ownership == Ownership::Owned;
        ensure(told_alive == owned, "ready on a corpse")?;
        let wanted = matches!(self.endpoint, Endpoint::Ours { wanted } if wanted > 0);
        ensure(
            !wanted || !self.word.is_open(),
            "another waits for a run that stays open",
        )?;
        let idle = self.word.count() == 0 && !self.lent_seen && !self.woken;
        let timed = self.state.deadline().is_some() || self.probing;
        let corpse = self.process.is_some_and(|process| process.dead);
        ensure(!owned || !idle || timed || corpse, "idle without a timer")
    }

    fn nothing_is_left(&self) -> Result<(), Violation> {
        let stopped = matches!(self.state.stage, Stage::Stopped);
        let runs = self.process.is_some() || self.spawning;
        ensure(!stopped || !runs, "an orphan")?;
        ensure(
            !stopped || self.endpoint == Endpoint::NotOurs,
            "an endpoint was kept",
        )?;
        // A process that nothing can kill is all that may outlive its handles.
        let works = runs || self.probing || self.state.deadline().is_some();
        ensure(
            !self.handles_gone || self.finished || works,
            "the task goes on for nobody",
        )
    }
}
