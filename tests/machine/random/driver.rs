//! What the driver does for the machine.

use super::{
    Violation, ensure,
    promises::{Promises, Standing, Told},
    world::World,
};
use crate::machine::{
    Action, Effects, Event, InstanceEnd, Machine, Ownership, Phase, Record, StopReason, Time, Want,
    drive,
};

/// More answers in a row, or ticks at one time, than there is a reason for.
const MANY: usize = 16;

impl World {
    pub(super) fn feed(&mut self, event: Event) -> Result<(), Violation> {
        if self.promises.finished {
            return Ok(());
        }
        self.fed = 0;
        let spare = Machine::new(self.promises.policy);
        let mut machine = std::mem::replace(&mut self.machine, spare);
        let driven = drive(&mut machine, event, self);
        self.machine = machine;
        driven
    }
}

/// While an event is taken, the machine is the one that is handed in.
impl Effects for World {
    type Error = Violation;

    fn has_ended(&mut self) -> bool {
        self.has_ended
    }

    fn must_leave(&mut self) -> bool {
        false
    }

    fn decide(&mut self, machine: &mut Machine, event: Event) -> Result<Vec<Action>, Violation> {
        self.fed += 1;
        ensure(self.fed < MANY, "answers without end")?;
        self.wants = wants(&self.promises, &event);
        let actions = (self.bug.decide)(machine, event.clone(), self.now);
        self.journal.push(Record {
            at: self.now,
            age: Time::ZERO,
            event: event.clone(),
            phase: machine.phase(),
        });
        self.promises.judge(&event, &actions, self.now, machine)?;
        Ok(actions)
    }

    fn perform(&mut self, action: Action, _: &Machine) -> Result<Option<Event>, Violation> {
        match &action {
            Action::Probe { after, own, .. } => {
                (self.probe, self.wants_own) = (Some(self.now + *after), *own);
            }
            Action::RenewUse { .. } => self.renewing = true,
            Action::Knock => self.knocking = true,
            Action::LookForUse => self.looking = true,
            Action::Open(_) => self.leases.open(self.now),
            Action::Reopen(_) => (self.leases.open, self.leases.suspect) = (true, false),
            Action::Close => {
                self.leases.open = false;
                return Ok(Some(Event::Leases(self.leases.look())));
            }
            Action::CloseIfIdle if self.leases.close_if_idle() => return Ok(Some(Event::Closed)),
            Action::ReadLeases | Action::CloseIfIdle => {
                return Ok(Some(Event::Leases(self.leases.look())));
            }
            Action::End(end) => {
                let uncut = *end == InstanceEnd::Idle;
                ensure(
                    !uncut || self.leases.count() == 0,
                    "an instance ended as idle under a lease",
                )?;
                self.leases.end();
            }
            Action::SendReadyRequest { .. } => self.asks = true,
            Action::RunStopCommand(_) => self.commanding = true,
            _ => {}
        }
        match &action {
            Action::RunStopCommand(StopReason::Idle) | Action::Terminate(StopReason::Idle) => {
                let idle_stop = self.promises.policy.idle_stop;
                let idle = self.leases.idle_for(self.now);
                let idle = idle.min(self.now.saturating_sub(self.used_at));
                let process = self.promises.process.as_ref();
                // What comes after the first action does whatever the idle time is by then, also at the same moment.
                let is_command = matches!(action, Action::RunStopCommand(_));
                let first = process.and_then(|process| match process.commanded {
                    Some(_) if !is_command => None,
                    commanded => commanded.or(process.terminated),
                });
                let is_first = first.is_some_and(|(at, _)| at == self.now);
                let is_due = idle_stop.is_some_and(|limit| idle >= limit);
                ensure(is_due || !is_first, "stopped before its idle time")?;
            }
            Action::Suspect => self.leases.suspect = true,
            Action::Trust => self.leases.trust(),
            Action::Grant(waiters) => {
                let wants = self.wants.iter();
                let leases = wants.filter(|it| waiters.contains(&it.0) && it.1 == Want::Lease);
                (0..leases.count()).for_each(|_| self.leases.grant());
            }
            _ => {}
        }
        Ok(None)
    }

    fn done(&mut self, machine: &Machine) {
        if !machine.is_probing() {
            self.probe = None;
        }
        self.asks &= machine.asks_to_be_ready();
        self.commanding &= machine.is_commanding();
        if !machine.is_looking_for_use() {
            self.looking = false;
        }
        if !machine.is_checking() {
            (self.renewing, self.knocking) = (false, false);
        }
    }
}

/// What the callers want that wait, and the one that asks now: once they are answered, that is not known any more.
fn wants(promises: &Promises, event: &Event) -> Vec<(u64, Want)> {
    let waiters = promises.waiters.iter();
    let mut wants: Vec<_> = waiters.map(|(id, waiter)| (*id, waiter.want)).collect();
    if let Event::Asked { waiter, ask, .. } = event {
        wants.push((*waiter, ask.want));
    }
    wants
}

impl World {
    /// Deadlines come at their time, and so does what woke the driver.
    pub(super) fn wait_until(&mut self, until: Time) -> Result<(), Violation> {
        let mut ticks = 0;
        loop {
            if self.woken {
                self.wake()?;
            }
            let Some(due) = self.machine.deadline().filter(|&due| due <= until) else {
                break;
            };
            ticks = if due > self.now { 0 } else { ticks + 1 };
            ensure(ticks < MANY, "a deadline that stays in the past")?;
            self.now = due.max(self.now);
            self.feed(Event::Tick)?;
        }
        self.now = until.max(self.now);
        let grace = self.promises.policy.abandon_grace;
        let grace = grace.filter(|_| !self.promises.policy.keep_ready);
        let alone = self.promises.alone_since.zip(grace);
        let is_abandoned = alone.is_some_and(|(since, grace)| since + grace < self.now);
        ensure(!is_abandoned, "a start continues for nobody")?;
        self.killed_in_time()?;
        self.ready_in_time()?;
        self.idles_no_longer_than_it_may()
    }

    pub(super) fn wake(&mut self) -> Result<(), Violation> {
        self.woken = false;
        let leases = Event::Leases(self.leases.look());
        self.feed(leases)
    }

    fn killed_in_time(&self) -> Result<(), Violation> {
        let process = self.promises.process.as_ref();
        let late = process.is_some_and(|it| {
            let due = it
                .terminated
                .is_some_and(|(at, limit)| at + limit < self.now);
            let commanded = it
                .commanded
                .is_some_and(|(at, limit)| at + limit < self.now);
            let waits = it.terminated.is_none() && it.exited.is_none();
            (due && it.killed.is_none()) || (commanded && waits)
        });
        ensure(!late, "no KILL after the stop timeout")
    }

    fn ready_in_time(&self) -> Result<(), Violation> {
        let loading = self.machine.phase() == Phase::Starting;
        let process = self.promises.process.as_ref().filter(|_| loading);
        let limit = self.promises.policy.ready_timeout;
        let late = process.is_some_and(|it| it.since + limit < self.now);
        ensure(!late, "a start continues after its ready timeout")
    }

    fn idles_no_longer_than_it_may(&self) -> Result<(), Violation> {
        let ready = self.machine.phase() == Phase::Ready
            && self.machine.ownership() == Some(Ownership::Owned);
        let unused = self.leases.count() == 0 && self.promises.waiters.is_empty();
        let Some(idle_stop) = self.promises.policy.idle_stop else {
            return Ok(());
        };
        // One that is closed for another service waits for that.
        let told = Told::Contested;
        let closed = self.promises.claim == Standing::Ours { told };
        let looks = self.machine.is_checking() || self.machine.is_looking_for_use();
        let kept = self.promises.policy.keep_ready;
        let idles = ready && unused && !closed && !kept && !looks && !self.has_ended;
        let used_before = self.now.saturating_sub(self.used_at);
        let idle = self.leases.idle_for(self.now).min(used_before);
        ensure(!idles || idle <= idle_stop, "it idles and is not stopped")
    }
}
