//! What may happen next: everything, in any order.

use super::{
    MS, Violation,
    world::{CLIENTS, Client, Endpoint, NOW, Process, RETIRE_LIMIT, SWAP_TIMEOUT, Stands, World},
};
use crate::{
    leases::word::{Outcome, Word},
    machine::{Ask, Claim, Event, Exited, Sight, Stage, Want},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Call(usize),
    GiveUp(usize),
    /// The question arrives.
    Deliver(usize),
    /// The word that it has given up arrives.
    DeliverLeft(usize),
    End(usize, Outcome),
    /// A handle is shut down.
    Dismiss(usize),
    Probed {
        sight: Sight,
        /// It is not our process that answers.
        evil: bool,
    },
    Spawned,
    SpawnFailed,
    Crash,
    TellExit {
        port_taken: bool,
    },
    Gone,
    Granted,
    GrantedToUse,
    /// Whose server it was is gone.
    Inherited,
    Refused,
    Wanted,
    Lost,
    Unwanted,
    /// Another host begins to use our server, …
    Lend,
    /// … and ends.
    Return,
    Wake,
    Stop,
    Retire {
        limited: bool,
    },
    HandlesGone,
    Tick,
    /// The same, and a client calls between the look at the leases and what follows from it.
    TickAndCall(usize),
    /// The same with another host.
    TickAndLend,
    /// The pause between two checks is over, or the one after failures.
    Pause,
}

impl Step {
    /// Whether it comes by itself, if one waits for long enough: leases end some day.
    pub(super) fn comes_by_itself(self) -> bool {
        !matches!(
            self,
            Self::Call(_)
                | Self::GiveUp(_)
                | Self::Dismiss(_)
                | Self::Stop
                | Self::Retire { .. }
                | Self::HandlesGone
                | Self::Lend
                | Self::TickAndCall(_)
                | Self::TickAndLend
        )
    }
}

impl World {
    pub(super) fn steps(&self, steps: &mut Vec<Step>) {
        steps.clear();
        if self.finished {
            return;
        }
        self.client_steps(steps);
        self.process_steps(steps);
        self.claim_steps(steps);
        self.host_steps(steps);
        if self.probing {
            self.probe_steps(steps);
        }
        if self.woken {
            steps.push(Step::Wake);
        }
        if !self.stop_waits && !self.handles_gone {
            if self.stops > 0 {
                steps.push(Step::Stop);
            }
            if self.retirements > 0 {
                steps.push(Step::Retire { limited: false });
                steps.push(Step::Retire { limited: true });
            }
        }
        let is_idle = self.clients.iter().all(|it| it.stands == Stands::Idle);
        if !self.handles_gone && is_idle {
            steps.push(Step::HandlesGone);
        }
        let is_due = self.state.deadline().is_some();
        if is_due {
            steps.push(Step::Tick);
            if self.word.is_open() && self.word.count() == 0 {
                let may_call = |index: &usize| self.may_call(*index);
                let callers = (0..CLIENTS).filter(may_call);
                steps.extend(callers.map(Step::TickAndCall));
            }
            if self.may_lend() {
                steps.push(Step::TickAndLend);
            }
        }
        if self.pauses_checks() || (!is_due && self.state.not_before > NOW) {
            steps.push(Step::Pause);
        }
    }

    /// Too soon for another check of a run under suspicion.
    fn pauses_checks(&self) -> bool {
        matches!(&self.state.stage, Stage::Ready(ready) if ready.next_check > NOW)
    }

    fn may_call(&self, index: usize) -> bool {
        let Client { rounds, stands } = self.clients[index];
        stands == Stands::Idle && rounds > 0 && !self.handles_gone
    }

    fn client_steps(&self, steps: &mut Vec<Step>) {
        for (index, client) in self.clients.iter().enumerate() {
            match client.stands {
                Stands::Idle if self.may_call(index) => steps.push(Step::Call(index)),
                Stands::Idle => {}
                Stands::Asking => {
                    steps.extend([Step::Deliver(index), Step::GiveUp(index)]);
                }
                Stands::AskingAndLeaving => steps.push(Step::Deliver(index)),
                Stands::Waiting => {
                    steps.push(Step::GiveUp(index));
                    if self.dismissals > 0 {
                        steps.push(Step::Dismiss(index));
                    }
                }
                Stands::Leaving | Stands::LeavingAnswered => steps.push(Step::DeliverLeft(index)),
                Stands::Holding(_) => {
                    steps.push(Step::End(index, Outcome::Completed));
                    steps.push(Step::End(index, Outcome::Unanswered));
                }
            }
        }
    }

    fn process_steps(&self, steps: &mut Vec<Step>) {
        if self.spawning {
            steps.push(Step::Spawned);
            if self.crashes > 0 {
                steps.push(Step::SpawnFailed);
            }
        }
        let Some(process) = self.process else { return };
        // TERM and even KILL may be ignored, for as long as it likes.
        if !process.dead && (self.crashes > 0 || process.terminated || process.killed) {
            steps.push(Step::Crash);
        }
        if process.dead && !process.told {
            steps.push(Step::TellExit { port_taken: false });
            if self.strangers > 0 && !process.terminated {
                steps.push(Step::TellExit { port_taken: true });
            }
        }
        if process.dead && process.told {
            steps.push(Step::Gone);
        }
    }

    fn claim_steps(&self, steps: &mut Vec<Step>) {
        let wanted = match self.endpoint {
            Endpoint::NotOurs | Endpoint::Guest => return,
            Endpoint::Asked { missing, wanted } => {
                steps.push(Step::Granted);
                if self.rivals > 0 {
                    steps.push(Step::Refused);
                }
                // At those that we have.
                if self.rivals > 0 && wanted < self.ports - missing {
                    steps.push(Step::Wanted);
                }
                wanted
            }
            Endpoint::Ours { wanted } => {
                if self.rivals > 0 && wanted < self.ports {
                    steps.extend([Step::Wanted, Step::Lost]);
                }
                wanted
            }
        };
        if wanted > 0 {
            steps.push(Step::Unwanted);
        }
    }

    /// What a probe may see: with a process of ours anything, without one what others do.
    fn probe_steps(&self, steps: &mut Vec<Step>) {
        let mut see = |sight, evil| steps.push(Step::Probed { sight, evil });
        if self.endpoint == Endpoint::Guest {
            // That nothing is there is seen by who has the endpoint.
            see(Sight::Wanted, false);
            see(Sight::Status(503), false);
            return;
        }
        see(Sight::Refused, false);
        if self.process.is_some_and(|process| process.dead) {
            // Whatever else it was, the driver drops it.
            return;
        }
        if self.serves() {
            see(Sight::Wanted, false);
            see(Sight::Silent, false);
            see(Sight::Status(401), false);
        }
        if self.strangers > 0 {
            see(Sight::Status(503), true);
            see(Sight::Status(404), true);
            if !self.serves() {
                see(Sight::Wanted, true);
                see(Sight::Silent, true);
            } else if self.state.wants_own_listener() {
                see(Sight::Stranger(1), true);
            }
        }
    }

    pub(super) fn take(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Call(index) => self.call(index),
            Step::GiveUp(index) => {
                let stands = &mut self.clients[index].stands;
                *stands = match *stands {
                    Stands::Asking => Stands::AskingAndLeaving,
                    _ => Stands::Leaving,
                };
            }
            Step::Deliver(index) => return self.deliver(index),
            Step::DeliverLeft(index) => {
                let waiter = self.waiter(index);
                self.clients[index].stands = Stands::Idle;
                return self.feed(Event::Left { waiter });
            }
            Step::End(index, outcome) => {
                if let Stands::Holding(run) = self.clients[index].stands {
                    self.clients[index].stands = Stands::Idle;
                    self.give_back(run, outcome);
                }
            }
            Step::Dismiss(index) => {
                self.dismissals -= 1;
                let handle = index as u64;
                return self.feed(Event::Dismissed { handle });
            }
            Step::Probed { sight, evil } => return self.probed(sight, evil),
            Step::Wake => {
                self.woken = false;
                let looked = self.look();
                return self.feed(looked);
            }
            Step::Stop => return self.stop(),
            Step::Retire { limited } => return self.retire(limited),
            Step::HandlesGone => {
                self.handles_gone = true;
                return self.feed(Event::HandlesGone);
            }
            Step::Tick => return self.tick(),
            Step::TickAndCall(index) => return self.tick_and(Some(index), false),
            Step::TickAndLend => return self.tick_and(None, true),
            Step::Lend | Step::Return | Step::GrantedToUse | Step::Inherited => {
                return self.another_host_does(step);
            }
            Step::Pause => self.pause(),
            Step::Granted | Step::Refused | Step::Wanted | Step::Lost | Step::Unwanted => {
                return self.claim_answered(step);
            }
            _ => return self.process_does(step),
        }
        Ok(())
    }

    fn pause(&mut self) {
        if let Stage::Ready(ready) = &mut self.state.stage {
            ready.next_check = NOW;
        } else {
            self.clock = self.state.not_before;
            self.set_back();
        }
    }

    fn tick_and(&mut self, racer: Option<usize>, lends: bool) -> Result<(), Violation> {
        (self.racer, self.lends) = (racer, lends);
        let ticked = self.tick();
        (self.racer, self.lends) = (None, false);
        ticked
    }

    fn tick(&mut self) -> Result<(), Violation> {
        let due = self.state.deadline().unwrap_or(NOW);
        self.feed_at(Event::Tick, due.max(NOW))
    }

    pub(super) fn call(&mut self, index: usize) {
        self.clients[index].rounds -= 1;
        self.clients[index].stands = match self.word.take() {
            Some(word) => {
                self.word = word;
                Stands::Holding(word.run())
            }
            None => Stands::Asking,
        };
    }

    fn deliver(&mut self, index: usize) -> Result<(), Violation> {
        let left = self.clients[index].stands == Stands::AskingAndLeaving;
        self.clients[index].stands = if left {
            Stands::Leaving
        } else {
            Stands::Waiting
        };
        let ask = Ask {
            handle: index as u64,
            want: Want::Lease,
            swap_timeout: SWAP_TIMEOUT,
            max_waiters: None,
        };
        self.feed(Event::Asked {
            waiter: self.waiter(index),
            ask,
            suspect: self.word.is_suspect(),
            leases: self.leases_out(),
        })
    }

    pub(super) fn give_back(&mut self, run: u64, outcome: Outcome) {
        let before = self.word;
        let Some(word) = before.give_back(run, outcome) else {
            return;
        };
        self.word = word;
        self.woken |= before.wakes();
        if word.count() == 0 {
            self.idle_since = self.clock;
            if outcome.is_sign_of_life() {
                self.alive_since = self.clock;
            }
        }
        if outcome == Outcome::Unanswered {
            self.word = word.suspect();
        }
    }

    fn probed(&mut self, sight: Sight, evil: bool) -> Result<(), Violation> {
        self.probing = false;
        self.strangers -= u8::from(evil);
        let untold = self
            .process
            .is_some_and(|process| process.dead && !process.told);
        if untold && !self.state.only_probes_again(sight) {
            // Its end is told first.
            return Ok(());
        }
        self.impostor = evil;
        let leases = self.leases_out();
        let fed = self.feed(Event::Probed {
            sight,
            took: MS,
            leases,
        });
        self.impostor = false;
        fed
    }

    fn stop(&mut self) -> Result<(), Violation> {
        self.stops -= 1;
        self.stop_waits = true;
        self.cut |= self.process.is_some() || self.spawning;
        self.feed(Event::StopAsked)
    }

    fn retire(&mut self, limited: bool) -> Result<(), Violation> {
        self.retirements -= 1;
        self.stop_waits = true;
        let limit = limited.then_some(RETIRE_LIMIT);
        if self.process.is_some() {
            self.cut_from = limit.map(|limit| NOW + limit);
        }
        self.feed(Event::RetireAsked { limit })
    }

    fn process_does(&mut self, step: Step) -> Result<(), Violation> {
        match (step, &mut self.process) {
            (Step::Spawned, _) => {
                self.spawning = false;
                self.process = Some(Process {
                    run: self.word.run(),
                    dead: false,
                    told: false,
                    terminated: false,
                    killed: false,
                });
                self.feed(Event::Spawned)
            }
            (Step::SpawnFailed, _) => {
                self.spawning = false;
                self.crashes -= 1;
                self.feed(Event::SpawnFailed { invalid: false })
            }
            (Step::Crash, Some(process)) => {
                process.dead = true;
                let by_itself = !process.terminated && !process.killed;
                self.crashes -= u8::from(by_itself);
                Ok(())
            }
            (Step::TellExit { port_taken }, Some(process)) => {
                process.told = true;
                let served = self.word.has_served();
                self.feed(Event::Exited(Exited {
                    code: Some(1),
                    signal: None,
                    served,
                    port_taken,
                }))
            }
            _ => {
                self.process = None;
                self.cut = false;
                self.cut_from = None;
                self.feed(Event::Gone)
            }
        }
    }

    /// The machine is told of the whole: that all of it is ours, and that any of it is wanted.
    fn claim_answered(&mut self, step: Step) -> Result<(), Violation> {
        self.rivals -= u8::from(matches!(step, Step::Refused | Step::Wanted | Step::Lost));
        match (&mut self.endpoint, step) {
            (Endpoint::Asked { missing, .. }, Step::Granted) if *missing > 1 => *missing -= 1,
            (Endpoint::Asked { wanted, .. }, Step::Granted) => {
                let wanted = *wanted;
                self.endpoint = Endpoint::Ours { wanted };
                self.feed(Event::Claim(Claim::Granted))?;
                let is_still_ours = matches!(self.endpoint, Endpoint::Ours { .. });
                if wanted > 0 && is_still_ours {
                    return self.feed(Event::Claim(Claim::Wanted));
                }
            }
            (endpoint, Step::Refused) => {
                *endpoint = Endpoint::NotOurs;
                return self.feed(Event::Claim(Claim::Refused));
            }
            (Endpoint::Asked { wanted, .. }, Step::Unwanted) => *wanted -= 1,
            (Endpoint::Asked { wanted, .. }, _) => *wanted += 1,
            (Endpoint::Ours { wanted }, Step::Unwanted) => {
                *wanted -= 1;
                if *wanted == 0 {
                    return self.feed(Event::Claim(Claim::Unwanted));
                }
            }
            (Endpoint::Ours { wanted }, step) => {
                *wanted += 1;
                if step == Step::Lost {
                    return self.feed(Event::Claim(Claim::Lost));
                }
                if *wanted == 1 {
                    return self.feed(Event::Claim(Claim::Wanted));
                }
            }
            (Endpoint::NotOurs | Endpoint::Guest, _) => {}
        }
        Ok(())
    }
}

impl Word {
    /// A look, as the machine is told of it.
    pub(super) fn looked(self) -> (Self, usize) {
        let seen = self.look();
        (seen, seen.count())
    }
}
