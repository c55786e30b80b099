//! What the driver does for the machine, and what it must never be asked for.

use super::{
    Violation, ensure,
    world::{Address, NOW, Room, Stands, Told, World, policy},
};
use crate::{
    machine::{
        Action, Effects, Event, InstanceEnd, Leases, Machine, Ownership, Stage, StopReason,
        Stopped, Time, drive,
    },
    word::Outcome,
};

/// More answers in a row than any event has.
const MANY: usize = 16;

impl World {
    /// Time stands still but for ticks.
    pub(super) fn feed(&mut self, event: Event) -> Result<(), Violation> {
        self.feed_at(event, NOW)
    }

    pub(super) fn feed_at(&mut self, event: Event, now: Time) -> Result<(), Violation> {
        self.clock = now;
        self.fed = 0;
        let mut machine = std::mem::replace(&mut self.machine, Machine::new(policy(false, false)));
        let driven = drive(&mut machine, event, self);
        self.machine = machine;
        self.set_back();
        driven
    }
}

/// While an event is taken, the machine is the one that is handed in.
impl Effects for World {
    type Error = Violation;

    fn has_ended(&mut self) -> bool {
        self.process.is_some_and(|it| it.dead && !it.told)
    }

    /// A step says so at once.
    fn must_leave(&mut self) -> bool {
        false
    }

    fn decide(&mut self, machine: &mut Machine, event: Event) -> Result<Vec<Action>, Violation> {
        self.fed += 1;
        ensure(self.fed < MANY, "answers without end")?;
        machine.common.policy.keep_ready &= self.tries > 0;
        Ok((self.bug.decide)(machine, event, self.clock))
    }

    fn perform(&mut self, action: Action, machine: &Machine) -> Result<Option<Event>, Violation> {
        match action {
            Action::Claim { .. } => {
                let unasked = u8::from(machine.waiters() == 0);
                self.tries = self.tries.saturating_sub(unasked);
                self.claim()?;
            }
            Action::ClaimRoom => self.claim_room()?,
            Action::Offer => {
                ensure(self.leases_out() == 0, "offered under a lease")?;
                self.awaited = false;
            }
            Action::Release => self.release()?,
            Action::RenewUse { .. } => {
                ensure(self.process.is_none(), "the use of our own server renewed")?;
                self.renewing = true;
            }
            Action::EndUse => self.end_use()?,
            Action::Probe { own, .. } => {
                let visible = self.address != (Address::Guest { open: false });
                ensure(visible, "a server was probed that may be stopped meanwhile")?;
                (self.probing, self.wants_own) = (true, own);
            }
            Action::SendReadyRequest { .. } => self.send_ready_request()?,
            Action::Knock => self.knocking = true,
            Action::LookForUse => return self.look_for_use(),
            Action::Spawn => self.spawn()?,
            Action::RunStopCommand(reason) => self.run_stop_command(reason, machine)?,
            Action::Terminate(reason) => self.terminate(reason, machine)?,
            Action::Kill => self.kill()?,
            Action::Open(ownership) => self.open(ownership)?,
            Action::Reopen(ownership) => self.reopen(ownership)?,
            Action::Close => return Ok(Some(self.close())),
            Action::CloseIfIdle => return Ok(Some(self.close_if_idle())),
            Action::End(end) => self.end(end)?,
            Action::Suspect => self.word = self.word.suspect(),
            Action::Trust => self.word = self.word.trust(),
            Action::ReadLeases => return Ok(Some(self.look())),
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
            Action::Confirm { bodies, lives } => self.confirm(&bodies, lives)?,
            Action::EndAnswers => {}
            Action::StopsDone(stopped) => self.stops_done(stopped, machine)?,
            Action::Finish => {
                ensure(self.handles_gone, "the end with handles left")?;
                let gone = self.process.is_none() && !self.spawning;
                ensure(gone, "a process after the end")?;
                self.finished = true;
            }
        }
        Ok(None)
    }

    fn done(&mut self, machine: &Machine) {
        if !machine.is_probing() {
            self.probing = false;
        }
        self.launching.asks &= machine.asks_to_be_ready();
        self.launching.commanding &= machine.is_commanding();
        if !machine.is_checking() {
            (self.renewing, self.knocking) = (false, false);
        }
        self.wants_own &= self.probing;
        if !matches!(machine.stage, Stage::Serving(_)) {
            (self.told, self.awaited) = (Told::Nothing, false);
        }
    }
}

impl World {
    pub(super) fn look(&mut self) -> Event {
        self.word = self.word.look();
        let out = self.word.count();
        self.lent_seen = out == 0 && self.is_lent();
        Event::Leases(Leases {
            out: out + usize::from(self.lent_seen),
            idle_since: self.idle_since,
            alive_since: self.alive_since,
        })
    }

    fn close(&mut self) -> Event {
        self.word = self.word.close();
        self.admits = false;
        self.look()
    }

    fn send_ready_request(&mut self) -> Result<(), Violation> {
        self.launching.asks = true;
        ensure(!self.probing, "probed while the ready request is under way")
    }

    fn run_stop_command(&mut self, reason: StopReason, machine: &Machine) -> Result<(), Violation> {
        ensure(!self.launching.commanding, "two stop commands")?;
        self.launching.commanding = true;
        self.terminate(reason, machine)
    }

    fn look_for_use(&self) -> Result<Option<Event>, Violation> {
        let unused = self.word.count() == 0;
        ensure(unused, "looked for idleness with a lease out")?;
        // A client or a peer comes between the answer and what follows from it. Otherwise the answer comes later: that
        // the machine awaits it is a part of its state.
        let at_once = self.racer.is_some() || self.lends;
        Ok(at_once.then_some(Event::Used { last: None }))
    }

    fn claim(&mut self) -> Result<(), Violation> {
        ensure(self.address == Address::NotOurs, "claimed twice")?;
        self.address = Address::Asked {
            missing: self.ports,
            contested: 0,
        };
        Ok(())
    }

    fn claim_room(&mut self) -> Result<(), Violation> {
        let ours = matches!(self.address, Address::Ours { .. });
        ensure(ours, "asked for room without the address")?;
        ensure(self.room != Room::Ours, "asked for room twice")?;
        self.room = Room::Asked;
        Ok(())
    }

    fn release(&mut self) -> Result<(), Violation> {
        let free = self.process.is_none() && !self.spawning;
        ensure(free, "the address of a process was given away")?;
        self.borrowed = self.address == (Address::Guest { open: true });
        self.address = Address::NotOurs;
        self.room = Room::NotOurs;
        self.makes_way = false;
        Ok(())
    }

    fn close_if_idle(&mut self) -> Event {
        if let Some(index) = self.racer.take() {
            self.call(index);
        }
        if std::mem::take(&mut self.lends) && self.may_lend() {
            self.lend();
        }
        let is_lent = self.is_lent() && !self.bug.ignores_peers;
        let closed = (self.bug.close_if_idle)(self.word);
        let Some(word) = closed.filter(|_| !is_lent) else {
            return self.look();
        };
        self.word = word;
        self.admits = false;
        Event::Closed
    }

    fn spawn(&mut self) -> Result<(), Violation> {
        ensure(self.process.is_none() && !self.spawning, "two processes")?;
        let ours = matches!(self.address, Address::Ours { .. });
        ensure(ours, "spawned on another service's address")?;
        ensure(!self.handles_gone, "spawned for nobody")?;
        let has_room = !self.needs_room || self.room == Room::Ours;
        ensure(has_room, "spawned without room")?;
        self.spawning = true;
        Ok(())
    }

    /// A process is ended under its own leases by its own death, a `stop()`, or the limit of a retirement, and by
    /// nothing else.
    fn may_end(&self) -> Result<(), Violation> {
        let Some(process) = self.process else {
            return Ok(());
        };
        let limit_is_over = self.cut_from.is_some_and(|from| from <= self.clock);
        let may = process.dead || self.cut || limit_is_over;
        ensure(
            may || self.holders(process.instance) == 0,
            "TERM under a lease",
        )?;
        let lent = self.lent == Some(process.instance);
        ensure(may || !lent, "TERM under a lease of a peer")
    }

    fn terminate(&mut self, reason: StopReason, machine: &Machine) -> Result<(), Violation> {
        self.may_end()?;
        let waited_for = machine.waiters() > 0;
        let process = self.process.as_mut().ok_or("TERM to nobody")?;
        // Callers that come during the stop wait for the next instance.
        let alone = process.terminated || !waited_for;
        ensure(
            alone || reason != StopReason::Abandoned,
            "abandoned while a caller waits",
        )?;
        ensure(
            process.terminated || reason != StopReason::Swap || self.makes_way,
            "left unasked",
        )?;
        process.terminated = true;
        ensure(
            reason != StopReason::Idle || !self.in_use,
            "stopped for idleness while another program uses it",
        )
    }

    fn kill(&mut self) -> Result<(), Violation> {
        self.may_end()?;
        let process = self.process.as_mut().ok_or("KILL to nobody")?;
        ensure(process.terminated || process.dead, "KILL without TERM")?;
        process.killed = true;
        Ok(())
    }

    fn open(&mut self, ownership: Ownership) -> Result<(), Violation> {
        ensure(!self.word.is_open(), "opened twice")?;
        ensure(self.word.count() == 0, "opened with leases out")?;
        let owned = ownership == Ownership::Owned;
        let answers = if owned {
            self.serves() && !self.impostor
        } else {
            self.process.is_none()
        };
        ensure(answers, "ready on the answer of another program")?;
        if let Some(process) = self.process {
            ensure(
                process.instance == self.word.instance(),
                "an instance with the number of another one",
            )?;
        }
        self.word = self.word.open();
        self.admits = owned;
        self.borrowed &= !owned;
        self.idle_since = self.clock;
        self.alive_since = self.clock;
        Ok(())
    }

    fn reopen(&mut self, ownership: Ownership) -> Result<(), Violation> {
        // The event of its end may come a moment later.
        let untold = self.process.is_some_and(|process| !process.told);
        let owned = ownership == Ownership::Owned;
        ensure(untold == owned, "reopened on the answer of another program")?;
        self.word = self.word.reopen();
        self.admits = owned;
        Ok(())
    }

    fn end(&mut self, end: InstanceEnd) -> Result<(), Violation> {
        let idle = self.word.count() == 0;
        ensure(end != InstanceEnd::Idle || idle, "idle with a lease out")?;
        ensure(
            end != InstanceEnd::Died || !self.serves(),
            "a process that lives was said to be dead",
        )?;
        self.word = self.word.end();
        self.admits = false;
        self.borrowed = false;
        self.lent_seen = false;
        self.woken = false;
        Ok(())
    }

    fn grant(&mut self, waiter: u64) -> Result<(), Violation> {
        ensure(self.word.is_open(), "granted while closed")?;
        ensure(!self.has_ended(), "granted on a process that has ended")?;
        self.word = self.word.grant();
        let instance = self.word.instance();
        let has_left = self.answer(waiter, Stands::Holding(instance))?;
        if has_left && !self.bug.keeps_what_nobody_takes {
            // It drops its answer, and with it the lease.
            self.give_back(instance, Outcome::Unanswered);
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
        Err("a caller was answered twice")
    }

    /// A body is not said to be complete if its process has ended.
    fn confirm(&mut self, bodies: &[u64], lives: Option<bool>) -> Result<(), Violation> {
        for &body in bodies {
            let client = &mut self.clients[usize::try_from(body).unwrap_or(usize::MAX)];
            let Stands::Confirming(instance) = client.stands else {
                return Err("a body was answered twice");
            };
            client.stands = Stands::Idle;
            let process = self.process.filter(|it| it.instance == instance);
            ensure(
                lives != Some(true) || process.is_some_and(|it| !it.dead),
                "a body was said to be complete after the death of its process",
            )?;
            ensure(
                lives != Some(false) || process.is_none_or(|it| it.told || it.terminated),
                "a body was said to be broken before it is known why",
            )?;
            let outcome = if lives == Some(true) {
                Outcome::Completed
            } else {
                Outcome::Unanswered
            };
            self.give_back(instance, outcome);
        }
        Ok(())
    }

    fn stops_done(&mut self, stopped: Stopped, machine: &Machine) -> Result<(), Violation> {
        let gone = self.process.is_none() && !self.spawning;
        let is_so = match stopped {
            Stopped::Gone => gone || machine.waiters() > 0,
            Stopped::Survived => self.process.is_some(),
            Stopped::External | Stopped::StillAnswers => gone,
        };
        ensure(is_so, "a stop was answered too early, or wrongly")?;
        self.stop_waits = false;
        Ok(())
    }
}
