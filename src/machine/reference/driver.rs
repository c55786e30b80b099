//! What the task does for the machine.

use std::collections::VecDeque;

use super::{Violation, ensure, world::World};
use crate::machine::{Action, End, Event, Ownership, Phase, Reason, Time, Want, journal::Record};

/// More answers in a row, or ticks at one time, than there is a reason for.
const MANY: usize = 16;

impl World {
    /// As the task takes it: all that follows from an event is done before what answers it is taken.
    pub(super) fn feed(&mut self, event: Event) -> Result<(), Violation> {
        if self.promises.finished {
            return Ok(());
        }
        let mut events = VecDeque::from([event]);
        let mut fed = 0;
        while let Some(event) = events.pop_front() {
            fed += 1;
            ensure(fed < MANY, "answers without end")?;
            let wants = self.wants();
            let actions = self.state.on(event.clone(), self.now);
            let record = Record::new(self.now, event.clone(), self.state.phase());
            self.journal.push(record);
            self.promises
                .judge(&event, &actions, self.now, &self.state)?;
            for action in actions {
                events.extend(self.perform(&action, &event, &wants)?);
            }
        }
        if !self.state.is_probing() {
            self.probe = None;
        }
        Ok(())
    }

    /// What those want who wait: once they are answered, nobody knows.
    fn wants(&self) -> Vec<(u64, Want)> {
        let waiters = self.promises.waiters.iter();
        waiters.map(|(id, waiter)| (*id, waiter.want)).collect()
    }

    fn perform(
        &mut self,
        action: &Action,
        event: &Event,
        wants: &[(u64, Want)],
    ) -> Result<Option<Event>, Violation> {
        match action {
            Action::Probe { after, .. } => self.probe = Some(self.now + *after),
            Action::Open(_) => self.leases.open(self.now),
            Action::Reopen(_) => (self.leases.open, self.leases.suspect) = (true, false),
            Action::Close => {
                self.leases.open = false;
                return Ok(Some(Event::Looked(self.leases.look())));
            }
            Action::CloseIfIdle if self.leases.close_if_idle() => return Ok(Some(Event::Closed)),
            Action::Look | Action::CloseIfIdle => {
                return Ok(Some(Event::Looked(self.leases.look())));
            }
            Action::End(end) => {
                let peaceful = *end == End::Idle;
                ensure(
                    !peaceful || self.leases.count() == 0,
                    "a run ended in peace under a lease",
                )?;
                self.leases.end();
            }
            Action::Terminate(Reason::Idle) => {
                let idle_stop = self.promises.policy.idle_stop;
                let idle = self.leases.idle_for(self.now);
                let process = self.promises.process.as_ref();
                let first = process.and_then(|process| process.terminated);
                // The second TERM comes whatever the idle time is by then.
                let is_first = first.is_some_and(|(at, _)| at == self.now);
                let is_due = idle_stop.is_some_and(|limit| idle >= limit);
                ensure(is_due || !is_first, "stopped before its idle time")?;
            }
            Action::Suspect => self.leases.suspect = true,
            Action::Trust => self.leases.trust(self.now),
            Action::Grant(waiters) => {
                let asks_now = match event {
                    Event::Asked { waiter, ask, .. } => Some((*waiter, ask.want)),
                    _ => None,
                };
                let wants = wants.iter().copied().chain(asks_now);
                let leases = wants.filter(|it| waiters.contains(&it.0) && it.1 == Want::Lease);
                (0..leases.count()).for_each(|_| self.leases.grant());
            }
            _ => {}
        }
        Ok(None)
    }

    /// Deadlines come at their time, and so does what woke the driver.
    pub(super) fn wait_until(&mut self, until: Time) -> Result<(), Violation> {
        let mut ticks = 0;
        loop {
            if self.woken {
                self.wake()?;
            }
            let Some(due) = self.state.deadline().filter(|&due| due <= until) else {
                break;
            };
            ticks = if due > self.now { 0 } else { ticks + 1 };
            ensure(ticks < MANY, "a deadline that stays in the past")?;
            self.now = due.max(self.now);
            self.feed(Event::Tick)?;
        }
        self.now = until.max(self.now);
        let grace = self.promises.policy.abandon_grace;
        let alone = self.promises.alone_since.zip(grace);
        let is_abandoned = alone.is_some_and(|(since, grace)| since + grace < self.now);
        ensure(!is_abandoned, "a start goes on for nobody")?;
        self.idles_no_longer_than_it_may()
    }

    pub(super) fn wake(&mut self) -> Result<(), Violation> {
        self.woken = false;
        let looked = Event::Looked(self.leases.look());
        self.feed(looked)
    }

    fn idles_no_longer_than_it_may(&self) -> Result<(), Violation> {
        let ready =
            self.state.phase() == Phase::Ready && self.state.ownership() == Some(Ownership::Owned);
        let unused = self.leases.count() == 0 && self.promises.waiters.is_empty();
        let Some(idle_stop) = self.promises.policy.idle_stop else {
            return Ok(());
        };
        let idles = ready && unused && !self.state.is_probing();
        ensure(
            !idles || self.leases.idle_for(self.now) <= idle_stop,
            "it idles and is not stopped",
        )
    }
}
