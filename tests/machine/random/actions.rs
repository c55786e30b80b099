//! What the machine may ask for, and when.

use super::{
    Violation, ensure,
    promises::{Instance, Promises, Room, Standing, Told},
};
use crate::machine::{
    Action, Claim, Event, Failure, InstanceEnd, Ownership, ReadyAnswer, Sight, StopReason, Stopped,
    Time,
};

impl Promises {
    pub(super) fn act(
        &mut self,
        action: &Action,
        event: &Event,
        now: Time,
    ) -> Result<(), Violation> {
        let no_process = self.process.is_none() && !self.spawning;
        match action {
            Action::Claim { .. } | Action::ClaimRoom | Action::Release => {
                self.claims(action, no_process)?;
            }
            Action::Spawn => self.spawn(no_process, now)?,
            Action::RunStopCommand(reason) => self.run_stop_command(*reason, event, now)?,
            Action::Terminate(reason) => self.terminate(*reason, event, now)?,
            Action::Kill => self.kill(event, now)?,
            Action::Grant(waiters) => {
                let open = self.instance.as_ref().is_some_and(|instance| instance.open);
                ensure(open, "granted while closed")?;
                let dying = self.process.as_ref().is_some_and(|it| it.dying);
                ensure(!dying, "granted on a process that has ended")?;
                self.answer(waiters)?;
            }
            Action::Fail(waiters, failure) => {
                self.is_true(waiters, failure, event, now)?;
                self.answer(waiters)?;
                let counts = match failure {
                    Failure::Exited(_) => true,
                    Failure::Spawn => *event == Event::SpawnFailed { invalid: false },
                    _ => false,
                };
                if counts {
                    self.failures.add(now);
                }
            }
            Action::StopsDone(stopped) => self.stops_done(*stopped)?,
            Action::Finish => {
                let over = no_process && self.handles_gone && self.waiters.is_empty();
                ensure(over, "an end with something left")?;
                self.finished = true;
            }
            _ => self.act_on_instance(action, event, now)?,
        }
        Ok(())
    }

    fn stops_done(&mut self, stopped: Stopped) -> Result<(), Violation> {
        let no_process = self.process.is_none() && !self.spawning;
        let external = self.instance.as_ref().is_some_and(|it| !it.owned);
        let is_so = match stopped {
            Stopped::Gone => no_process || !self.waiters.is_empty(),
            Stopped::Survived => !no_process,
            Stopped::External => no_process && external,
            Stopped::StillAnswers => no_process && self.policy.launcher,
        };
        self.stop_waits = false;
        ensure(is_so, "a stop was answered too early, or wrongly")
    }

    fn claims(&mut self, action: &Action, no_process: bool) -> Result<(), Violation> {
        match action {
            Action::Claim { .. } => {
                ensure(self.claim == Standing::NotOurs, "claimed twice")?;
                self.claim = Standing::Asked;
                self.spawns = 0;
            }
            Action::ClaimRoom => {
                let ours = matches!(self.claim, Standing::Ours { .. });
                ensure(ours, "asked for room without the address")?;
                ensure(self.room != Room::Ours, "asked for room twice")?;
                self.room = Room::Asked;
            }
            Action::Release => {
                ensure(no_process, "the address of a process was given away")?;
                (self.claim, self.room) = (Standing::NotOurs, Room::NotOurs);
                self.makes_way = false;
            }
            _ => {}
        }
        Ok(())
    }

    fn spawn(&mut self, no_process: bool, now: Time) -> Result<(), Violation> {
        ensure(no_process, "two processes")?;
        let ours = matches!(self.claim, Standing::Ours { .. });
        ensure(ours, "spawned on an address that it does not own")?;
        let has_room = !self.policy.needs_room || self.room == Room::Ours;
        ensure(has_room, "spawned without room")?;
        ensure(!self.handles_gone, "spawned for nobody")?;
        let paused = now >= self.failures.not_before;
        ensure(paused, "spawned before the pause was over")?;
        // Once more after a lost port, and no oftener.
        self.spawns += 1;
        ensure(self.spawns <= 2, "spawned again and again")?;
        self.spawning = true;
        self.cut_from = None;
        // A start that callers wait for stays retired until they are served.
        self.retired &= !self.waiters.is_empty();
        Ok(())
    }

    fn act_on_instance(
        &mut self,
        action: &Action,
        event: &Event,
        now: Time,
    ) -> Result<(), Violation> {
        match action {
            Action::Open(ownership) | Action::Reopen(ownership) => {
                let reopened = matches!(action, Action::Reopen(_));
                self.open(*ownership, reopened, event, now)?;
            }
            Action::Close => {
                if let Some(instance) = &mut self.instance {
                    instance.open = false;
                }
            }
            Action::RenewUse { .. } => {
                let external = self.instance.as_ref().is_some_and(|it| !it.owned);
                ensure(external, "renewed the use of what is not external")?;
            }
            Action::Confirm { bodies, lives } => {
                let process = self.process.as_ref();
                let lives_on = process.is_some_and(|it| !it.dying && it.exited.is_none());
                ensure(
                    *lives != Some(true) || lives_on,
                    "a dead process was said to live",
                )?;
                for body in bodies {
                    ensure(self.bodies.remove(body), "a body was answered twice")?;
                }
            }
            Action::EndAnswers => {
                let due = self.answers.pop_front();
                ensure(due.is_some_and(|due| due <= now), "answers ended too early")?;
            }
            Action::CloseIfIdle => {
                let own = self.instance.as_ref().is_some_and(|it| it.owned);
                ensure(own, "closed what is not ours")?;
            }
            Action::End(end) => self.end(*end, event, now)?,
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, waiters: &[u64]) -> Result<(), Violation> {
        for waiter in waiters {
            ensure(
                self.waiters.remove(waiter).is_some(),
                "who does not wait is answered",
            )?;
        }
        Ok(())
    }

    fn terminate(&mut self, reason: StopReason, event: &Event, now: Time) -> Result<(), Violation> {
        let stop_timeout = self.policy.stop_timeout / 2 * 2;
        let process = self.process.as_mut().ok_or("TERM to nobody")?;
        ensure(process.ended.is_some(), "TERM while its leases count")?;
        if let Some((first, limit)) = process.terminated {
            return ensure(now >= first + limit / 2, "TERM again too early");
        }
        // It is what it was when the stop began.
        let stop_timeout = process.commanded.map_or(stop_timeout, |(_, it)| it / 2 * 2);
        process.terminated = Some((now, stop_timeout));
        if let Some((begun, limit)) = process.commanded {
            let is_over = now >= begun + limit || *event == Event::StopCommandEnded;
            return ensure(is_over, "TERM while the stop command runs");
        }
        self.begin_stop(reason, event, now)
    }

    fn run_stop_command(
        &mut self,
        reason: StopReason,
        event: &Event,
        now: Time,
    ) -> Result<(), Violation> {
        let stop_timeout = self.policy.stop_timeout;
        ensure(self.policy.stop_command, "a stop command from nowhere")?;
        let process = self.process.as_mut().ok_or("a stop of nothing")?;
        let first = process.commanded.is_none() && process.terminated.is_none();
        ensure(first, "a stop command in a stop")?;
        process.commanded = Some((now, stop_timeout));
        if process.exited.is_some() {
            return ensure(self.policy.launcher, "a stop command for what has ended");
        }
        let ended = process.ended.is_some();
        ensure(ended, "a stop command while its leases count")?;
        self.begin_stop(reason, event, now)
    }

    fn begin_stop(
        &mut self,
        reason: StopReason,
        event: &Event,
        now: Time,
    ) -> Result<(), Violation> {
        let (alone, makes_way) = (self.waiters.is_empty(), self.makes_way);
        let (ready_timeout, grace) = (self.policy.ready_timeout, self.policy.abandon_grace);
        let (cut_from, retired) = (self.cut_from, self.retired);
        let process = self.process.as_mut().ok_or("a stop of nothing")?;
        let sensible = match reason {
            StopReason::Abandoned => alone && grace.is_some(),
            StopReason::Asked => cut_from.is_some(),
            StopReason::NotReady => now >= process.since + ready_timeout,
            StopReason::Rejected => matches!(
                event,
                Event::Probed {
                    sight: Sight::Denied,
                    ..
                } | Event::ReadyRequested(ReadyAnswer::Rejected)
            ),
            StopReason::Retired => retired,
            StopReason::Swap => makes_way,
            StopReason::Idle | StopReason::Refuses | StopReason::Unresponsive => {
                matches!(event, Event::Closed | Event::Leases(_))
            }
            StopReason::Exited => process.exited.is_some(),
        };
        ensure(sensible, "TERM for no reason")?;
        match reason {
            StopReason::NotReady | StopReason::Rejected => self.failures.add(now),
            StopReason::Refuses | StopReason::Unresponsive => {}
            // An instance that ends without a failure.
            _ if process.ended == Some(InstanceEnd::Idle) => self.failures.forgive(),
            _ => {}
        }
        Ok(())
    }

    fn kill(&mut self, event: &Event, now: Time) -> Result<(), Violation> {
        let process = self.process.as_mut().ok_or("KILL to nobody")?;
        if let (Some((begun, limit)), None) = (process.commanded, process.terminated) {
            let is_over = now >= begun + limit || *event == Event::StopCommandEnded;
            ensure(is_over, "KILL while the stop command runs")?;
        }
        let had_its_time = process
            .terminated
            .is_some_and(|(first, limit)| now >= first + limit);
        ensure(
            process.exited.is_some() || had_its_time,
            "KILL before the stop timeout",
        )?;
        process.killed = Some(now);
        Ok(())
    }

    fn open(
        &mut self,
        ownership: Ownership,
        reopened: bool,
        event: &Event,
        now: Time,
    ) -> Result<(), Violation> {
        let runs = self.process.as_ref().is_some_and(|it| it.exited.is_none());
        let answered = matches!(
            event,
            Event::Probed {
                sight: Sight::Ready,
                ..
            } | Event::ReadyRequested(ReadyAnswer::Expected)
        );
        let owned = ownership == Ownership::Owned;
        if owned {
            ensure(runs && (answered || reopened), "ready on a corpse")?;
        } else {
            ensure(
                self.process.is_none() && answered,
                "ready without an answer",
            )?;
        }
        ensure(self.instance.is_some() == reopened, "opened twice")?;
        let since = match &self.instance {
            Some(instance) if owned => instance.since,
            _ => now,
        };
        self.instance = Some(Instance {
            owned,
            since,
            open: true,
        });
        Ok(())
    }

    fn end(&mut self, end: InstanceEnd, event: &Event, now: Time) -> Result<(), Violation> {
        let exited = self.process.as_ref().and_then(|process| process.exited);
        let instance = self.instance.take();
        if let Standing::Ours { told } = &mut self.claim {
            *told = Told::Nothing;
        }
        let external = instance.as_ref().is_some_and(|it| !it.owned);
        let none_out = match event {
            Event::Leases(leases) => leases.out == 0,
            Event::Closed | Event::Claim(Claim::Leave) => true,
            _ => false,
        };
        let sensible = match end {
            InstanceEnd::Died => exited.is_some() || self.process.is_none(),
            InstanceEnd::Forgotten => external,
            InstanceEnd::Idle => none_out,
            InstanceEnd::Stopped => {
                let cut = self.cut_from.is_some_and(|from| from <= now);
                instance.is_none() || cut
            }
        };
        ensure(sensible, "a instance ended for no reason")?;
        if let Some(process) = &mut self.process {
            process.ended = Some(end);
        }
        if end == InstanceEnd::Forgotten && none_out {
            self.failures.forgive();
        }
        let called_off = matches!(
            event,
            Event::StopAsked | Event::RetireAsked { .. } | Event::HandlesGone
        );
        if end == InstanceEnd::Died && !external && !called_off {
            match self.last_exit {
                Some((_, true)) => self.failures.add(now),
                _ => self.failures.forgive(),
            }
        }
        Ok(())
    }
}
