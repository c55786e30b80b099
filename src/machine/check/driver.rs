//! What the driver does for the machine, and what it must never be asked for.

use std::collections::VecDeque;

use super::{
    Duration, Violation, ensure,
    world::{Endpoint, NOW, Stands, World},
};
use crate::{
    leases::word::Outcome,
    machine::{Action, End, Event, Leases, Ownership, Reason, Sight, Stage, Time},
};

/// What is longer ago than all durations of the policy is simply past.
const LONG_AGO: Time = Duration::from_millis(99_960);
/// More answers in a row than any event has.
const MANY: usize = 16;

impl World {
    /// Time stands still but for ticks.
    pub(super) fn feed(&mut self, event: Event) -> Result<(), Violation> {
        self.feed_at(event, NOW)
    }

    /// As the task takes it: all actions of one event are performed before what answers them is
    /// fed.
    pub(super) fn feed_at(&mut self, event: Event, now: Time) -> Result<(), Violation> {
        self.clock = now;
        let mut events = VecDeque::from([event]);
        let mut fed = 0;
        while let Some(event) = events.pop_front() {
            fed += 1;
            ensure(fed < MANY, "answers without end")?;
            for action in self.state.on(event, now) {
                events.extend(self.perform(action)?);
            }
        }
        if !self.state.is_probing() {
            self.probing = false;
        }
        self.set_back();
        Ok(())
    }

    /// Some actions are answered at once.
    fn perform(&mut self, action: Action) -> Result<Option<Event>, Violation> {
        match action {
            Action::Claim => {
                ensure(self.endpoint == Endpoint::NotOurs, "claimed twice")?;
                let missing = self.ports;
                self.endpoint = Endpoint::Asked { missing, wanted: 0 };
            }
            Action::Release => {
                let free = self.process.is_none() && !self.spawning;
                ensure(free, "the endpoint of a process was given away")?;
                self.endpoint = Endpoint::NotOurs;
            }
            Action::Probe { .. } => self.probing = true,
            Action::Spawn => self.spawn()?,
            Action::Terminate(reason) => self.terminate(reason)?,
            Action::Kill => self.kill()?,
            Action::Open(ownership) => self.open(ownership)?,
            Action::Reopen(ownership) => self.reopen(ownership)?,
            Action::Close => {
                self.word = self.word.close();
                self.admits = false;
                return Ok(Some(self.look()));
            }
            Action::CloseIfIdle => return Ok(Some(self.close_if_idle())),
            Action::End(end) => self.end(end)?,
            Action::Suspect => self.word = self.word.suspect(),
            Action::Trust => {
                self.word = self.word.trust();
                self.alive_since = self.clock;
            }
            Action::Look => return Ok(Some(self.look())),
            Action::Grant(waiters) => {
                for waiter in waiters {
                    self.grant(waiter)?;
                }
            }
            Action::Fail(waiters, _) => {
                for waiter in waiters {
                    self.answer(waiter, Stands::Idle)?;
                }
            }
            Action::Settled { killed } => self.settled(killed)?,
            Action::Finish => {
                ensure(self.handles_gone, "the end with handles left")?;
                let gone = self.process.is_none() && !self.spawning;
                ensure(gone, "a process after the end")?;
                self.finished = true;
            }
        }
        Ok(None)
    }

    pub(super) fn look(&mut self) -> Event {
        let (word, out) = self.word.looked();
        self.word = word;
        self.lent_seen = out == 0 && self.is_lent();
        let out = out + usize::from(self.lent_seen);
        Event::Looked(Leases {
            out,
            idle_since: self.idle_since,
            alive_since: self.alive_since,
        })
    }

    fn close_if_idle(&mut self) -> Event {
        if let Some(index) = self.racer.take() {
            self.call(index);
        }
        if std::mem::take(&mut self.lends) && self.may_lend() {
            self.lend();
        }
        let closed = self.word.close_if_idle();
        let Some(word) = closed.filter(|_| !self.is_lent()) else {
            return self.look();
        };
        self.word = word;
        self.admits = false;
        Event::Closed
    }

    fn spawn(&mut self) -> Result<(), Violation> {
        ensure(self.process.is_none() && !self.spawning, "two processes")?;
        let ours = matches!(self.endpoint, Endpoint::Ours { .. });
        ensure(ours, "spawned on another's endpoint")?;
        ensure(!self.handles_gone, "spawned for nobody")?;
        self.spawning = true;
        Ok(())
    }

    /// A process is ended under its own leases by its own death, a `stop()`, or the limit of a
    /// retirement, and by nothing else.
    fn may_end(&self) -> Result<(), Violation> {
        let Some(process) = self.process else {
            return Ok(());
        };
        let limit_is_over = self.cut_from.is_some_and(|from| from <= self.clock);
        let may = process.dead || self.cut || limit_is_over;
        ensure(may || self.holders(process.run) == 0, "TERM under a lease")?;
        let lent = self.lent == Some(process.run);
        ensure(may || !lent, "TERM under a lease in another host")
    }

    fn terminate(&mut self, reason: Reason) -> Result<(), Violation> {
        self.may_end()?;
        let waited_for = !self.state.waiters.is_empty();
        let process = self.process.as_mut().ok_or("TERM to nobody")?;
        // Who comes during the stop waits for the next one.
        let alone = process.terminated || !waited_for;
        ensure(
            alone || reason != Reason::Abandoned,
            "abandoned while somebody waits",
        )?;
        process.terminated = true;
        Ok(())
    }

    fn kill(&mut self) -> Result<(), Violation> {
        self.may_end()?;
        let process = self.process.as_mut().ok_or("KILL to nobody")?;
        ensure(process.terminated || process.dead, "KILL without TERM")?;
        process.killed = true;
        Ok(())
    }

    fn reopen(&mut self, ownership: Ownership) -> Result<(), Violation> {
        // That it has ended may be told a moment later.
        let untold = self.process.is_some_and(|process| !process.told);
        ensure(
            untold == (ownership == Ownership::Owned),
            "reopened on somebody else's answer",
        )?;
        self.word = self.word.reopen();
        self.admits = ownership == Ownership::Owned;
        Ok(())
    }

    fn settled(&mut self, killed: bool) -> Result<(), Violation> {
        let gone = self.process.is_none() && !self.spawning;
        let others_wait = !self.state.waiters.is_empty();
        ensure(gone || !killed || others_wait, "a stop was told too early")?;
        self.stop_waits = false;
        Ok(())
    }

    fn open(&mut self, ownership: Ownership) -> Result<(), Violation> {
        ensure(!self.word.is_open(), "opened twice")?;
        ensure(self.word.count() == 0, "opened with leases out")?;
        let answers = if ownership == Ownership::Owned {
            self.serves() && !self.impostor
        } else {
            self.process.is_none()
        };
        ensure(answers, "ready on somebody else's answer")?;
        if let Some(process) = self.process {
            ensure(
                process.run == self.word.run(),
                "a run with another's number",
            )?;
        }
        self.word = self.word.open();
        self.admits = ownership == Ownership::Owned;
        self.idle_since = self.clock;
        self.alive_since = self.clock;
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<(), Violation> {
        let idle = self.word.count() == 0;
        ensure(end != End::Idle || idle, "idle with a lease out")?;
        ensure(
            end != End::Died || !self.serves(),
            "a process that lives was told dead",
        )?;
        self.word = self.word.end();
        self.admits = false;
        self.lent_seen = false;
        self.woken = false;
        Ok(())
    }

    fn grant(&mut self, waiter: u64) -> Result<(), Violation> {
        ensure(self.word.is_open(), "granted while closed")?;
        self.word = self.word.grant();
        let run = self.word.run();
        if self.answer(waiter, Stands::Holding(run))? {
            // It drops its answer, and with it the lease.
            self.give_back(run, Outcome::Unanswered);
        }
        Ok(())
    }

    /// Says whether it has left.
    fn answer(&mut self, waiter: u64, with: Stands) -> Result<bool, Violation> {
        for index in 0..self.clients.len() {
            if self.waiter(index) != waiter {
                continue;
            }
            let stands = &mut self.clients[index].stands;
            match *stands {
                Stands::Waiting => {
                    *stands = with;
                    return Ok(false);
                }
                Stands::Leaving => {
                    *stands = Stands::LeavingAnswered;
                    return Ok(true);
                }
                _ => {}
            }
        }
        Err("somebody was answered twice")
    }

    /// Sets the clock back, and with it all times that somebody remembers; and makes states one
    /// that differ in nothing that matters.
    pub(super) fn set_back(&mut self) {
        let elapsed = self.clock.saturating_sub(NOW);
        self.clock = NOW;
        for time in [&mut self.idle_since, &mut self.alive_since] {
            shift(time, elapsed);
        }
        self.cut_from.iter_mut().for_each(|it| shift(it, elapsed));
        self.set_state_back(elapsed);
        match self.state.stage {
            Stage::Ready(_) if self.leases_out() > 0 => self.idle_since = NOW,
            // Opening the run sets them anew.
            Stage::Stopped
            | Stage::Claiming { .. }
            | Stage::Looking { .. }
            | Stage::Spawning(_)
            | Stage::Loading(_) => {
                self.idle_since = NOW;
                self.alive_since = NOW;
            }
            _ => {}
        }
        self.sort_clients();
    }

    fn set_state_back(&mut self, elapsed: Duration) {
        let state = &mut self.state;
        state.now = NOW;
        // Whose probe is used decides nothing here.
        state.asker = 0;
        shift(&mut state.not_before, elapsed);
        for waiter in state.waiters.values_mut() {
            shift(&mut waiter.since, elapsed);
        }
        match &mut state.stage {
            Stage::Stopped | Stage::Spawning(_) | Stage::Unkillable => {}
            Stage::Claiming { since, due } => {
                shift(since, elapsed);
                shift(due, elapsed);
            }
            Stage::Looking {
                since,
                until,
                last,
                respawned: _,
            } => {
                // They say when to look again, and what an error tells.
                *since = NOW;
                *last = Sight::Refused;
                shift(until, elapsed);
            }
            Stage::Loading(loading) => loading.times().for_each(|time| shift(time, elapsed)),
            Stage::Ready(ready) => ready.times().for_each(|time| shift(time, elapsed)),
            Stage::Stopping(stopping) => shift(stopping.time(), elapsed),
            Stage::Settling { until, .. } => shift(until, elapsed),
        }
    }

    /// It does not matter which client is which.
    fn sort_clients(&mut self) {
        let [one, other] = self.clients;
        if one <= other {
            return;
        }
        self.clients = [other, one];
        let waiters = std::mem::take(&mut self.state.waiters);
        let swapped = waiters.into_iter().map(|(id, mut waiter)| {
            waiter.handle = 1 - waiter.handle;
            (id ^ 256, waiter)
        });
        self.state.waiters = swapped.collect();
    }
}

fn shift(time: &mut Time, elapsed: Duration) {
    if *time != Time::MAX {
        *time = time.saturating_sub(elapsed).max(LONG_AGO);
    }
}
