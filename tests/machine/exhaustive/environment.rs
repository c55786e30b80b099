//! What may happen next: everything, in any order.

use super::{
    SEC, Violation,
    world::{Address, CLIENTS, Client, NOW, Process, RETIRE_LIMIT, SWAP_TIMEOUT, Stands, World},
};
use crate::{
    machine::{Ask, Claim, Event, Exited, ReadyAnswer, Sight, Unanswered, Want},
    word::Outcome,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Call(usize),
    GiveUp(usize),
    /// The question arrives.
    Deliver(usize),
    /// The message that it has given up arrives.
    DeliverLeft(usize),
    End(usize, Outcome),
    /// Its body ends with the connection.
    EndBody(usize),
    /// A handle is shut down.
    Dismiss(usize),
    Probed {
        sight: Sight,
        foreign: bool,
        /// It is not our process that answers.
        evil: bool,
    },
    /// What comes of the ready request.
    ReadyRequested(ReadyAnswer),
    /// The stop command ends.
    StopCommandEnded,
    /// What a connection to the address shows.
    Knocked {
        refused: bool,
    },
    /// What the system knows of the use of the port by other programs.
    Used {
        just_now: bool,
    },
    /// The machine hears of requests that ended without an answer; a second later, or at once.
    TellUnanswered {
        later: bool,
    },
    Spawned,
    SpawnFailed,
    Crash,
    TellExit {
        port_taken: bool,
    },
    Gone,
    Granted,
    /// A peer has the address for the same server, which is ready or not.
    GuestOf {
        open: bool,
    },
    /// The peer whose server it was is gone.
    Inherited,
    /// … and another service was quicker.
    Outrun,
    /// Another service waits for the address, …
    Contested,
    /// … and does not any more.
    Uncontested,
    /// … and this one is to say when no lease is out, …
    Wanted,
    /// … and to give out no new ones, …
    Close,
    /// … and to make way.
    Leave,
    /// The same, and a client calls before the word is closed.
    LeaveAndCall(usize),
    /// What it needs beside the address is free.
    Room,
    NoRoom,
    Renewed(Claim),
    /// A peer begins to use our server, …
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
    /// The same with a peer.
    TickAndLend,
    /// The pause after failures is over.
    Pause,
}

impl Step {
    /// Whether it comes by itself, if one waits for long enough: leases end some day.
    pub(super) fn comes_by_itself(self) -> bool {
        !matches!(
            self,
            Self::Call(_)
                | Self::GiveUp(_)
                | Self::EndBody(_)
                | Self::Dismiss(_)
                | Self::Stop
                | Self::Retire { .. }
                | Self::HandlesGone
                | Self::Lend
                | Self::TickAndCall(_)
                | Self::TickAndLend
                | Self::LeaveAndCall(_)
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
        self.address_steps(steps);
        self.peer_steps(steps);
        if self.probing {
            self.probe_steps(steps);
        }
        if self.launching.asks {
            // Whichever program has the port: the machine learns of a death before it hears of an answer.
            steps.extend([ReadyAnswer::Expected, ReadyAnswer::None].map(Step::ReadyRequested));
            if self.crashes > 0 {
                steps.push(Step::ReadyRequested(ReadyAnswer::Rejected));
            }
        }
        if self.launching.commanding {
            steps.push(Step::StopCommandEnded);
        }
        if self.woken {
            steps.push(Step::Wake);
        }
        if self.unanswered > 0 {
            steps.push(Step::TellUnanswered { later: false });
            steps.push(Step::TellUnanswered { later: true });
        }
        self.look_steps(steps);
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
        let is_due = self.machine.deadline().is_some();
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
        let backs_off = self.machine.common.backoff.not_before > NOW;
        if !is_due && backs_off {
            steps.push(Step::Pause);
        }
    }

    pub(super) fn may_call(&self, index: usize) -> bool {
        let Client { rounds, stands } = self.clients[index];
        stands == Stands::Idle && rounds > 0 && !self.handles_gone
    }

    fn client_steps(&self, steps: &mut Vec<Step>) {
        for (index, client) in self.clients.iter().enumerate() {
            match client.stands {
                Stands::Idle if self.may_call(index) => steps.push(Step::Call(index)),
                Stands::Idle | Stands::Confirming(_) => {}
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
                Stands::Holding(instance) => {
                    steps.push(Step::End(index, Outcome::Completed));
                    steps.push(Step::End(index, Outcome::Unanswered));
                    if self.bodies > 0 && instance == self.word.instance() {
                        steps.push(Step::EndBody(index));
                    }
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

    /// What a probe may see: with an owned process anything, without one what other programs answer.
    fn probe_steps(&self, steps: &mut Vec<Step>) {
        let mut see = |sight, foreign, evil| {
            steps.push(Step::Probed {
                sight,
                foreign,
                evil,
            });
        };
        if matches!(self.address, Address::Guest { .. }) {
            see(Sight::Ready, false, false);
            see(Sight::Loading, false, false);
            // Its owner does not know yet that it has died.
            see(Sight::Refused, false, false);
            if self.strangers > 0 {
                see(Sight::Other, false, true);
            }
            return;
        }
        see(Sight::Refused, false, false);
        if self.process.is_some_and(|process| process.dead) {
            // The machine gets the event of the death first.
            see(Sight::Ready, false, false);
            return;
        }
        if self.serves() {
            see(Sight::Ready, false, false);
            see(Sight::Silent, false, false);
            see(Sight::Denied, false, false);
        }
        if self.strangers > 0 {
            see(Sight::Loading, false, true);
            see(Sight::Other, false, true);
            see(Sight::Left, false, true);
            if !self.serves() {
                see(Sight::Ready, false, true);
                see(Sight::Silent, false, true);
            } else if self.wants_own {
                see(Sight::Other, true, true);
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
                if let Stands::Holding(instance) = self.clients[index].stands {
                    self.clients[index].stands = Stands::Idle;
                    self.give_back(instance, outcome);
                }
            }
            Step::EndBody(index) => return self.end_body(index),
            Step::Dismiss(index) => {
                self.dismissals -= 1;
                let handle = index as u64;
                return self.feed(Event::Dismissed { handle });
            }
            Step::Probed {
                sight,
                foreign,
                evil,
            } => return self.probed(sight, foreign, evil),
            Step::ReadyRequested(answer) => return self.ready_requested(answer),
            Step::StopCommandEnded => return self.stop_command_ended(),
            Step::Knocked { refused } => return self.knocked(refused),
            Step::Used { just_now } => return self.used(just_now),
            Step::TellUnanswered { later } => return self.tell_unanswered(later),
            Step::Wake => {
                self.woken = false;
                let leases = self.look();
                return self.feed(leases);
            }
            Step::Stop => return self.stop(),
            Step::Retire { limited } => return self.retire(limited),
            Step::HandlesGone => return self.lose_handles(),
            Step::Tick => return self.tick(),
            Step::TickAndCall(index) => return self.tick_and(Some(index), false),
            Step::TickAndLend => return self.tick_and(None, true),
            Step::Pause => self.pause(),
            Step::Spawned
            | Step::SpawnFailed
            | Step::Crash
            | Step::TellExit { .. }
            | Step::Gone => {
                return self.process_does(step);
            }
            _ => return self.others_do(step),
        }
        Ok(())
    }

    fn ready_requested(&mut self, answer: ReadyAnswer) -> Result<(), Violation> {
        self.launching.asks = false;
        self.crashes -= u8::from(answer == ReadyAnswer::Rejected);
        self.feed(Event::ReadyRequested(answer))
    }

    fn stop_command_ended(&mut self) -> Result<(), Violation> {
        self.launching.commanding = false;
        self.feed(Event::StopCommandEnded)
    }

    fn knocked(&mut self, refused: bool) -> Result<(), Violation> {
        self.knocking = false;
        self.feed(Event::Knocked { refused })
    }

    fn look_steps(&self, steps: &mut Vec<Step>) {
        if self.knocking {
            // Without an owned process, another program may listen there, or none.
            let dead = self.process.is_none_or(|process| process.dead);
            if dead {
                steps.push(Step::Knocked { refused: true });
            }
            if !dead || self.process.is_none() {
                steps.push(Step::Knocked { refused: false });
            }
        }
        if self.machine.is_looking_for_use() {
            steps.push(Step::Used { just_now: false });
            if self.uses > 0 {
                steps.push(Step::Used { just_now: true });
            }
        }
    }

    fn used(&mut self, just_now: bool) -> Result<(), Violation> {
        self.uses -= u8::from(just_now);
        let last = just_now.then_some(self.clock);
        self.in_use = just_now;
        let fed = self.feed(Event::Used { last });
        self.in_use = false;
        fed
    }

    fn lose_handles(&mut self) -> Result<(), Violation> {
        self.handles_gone = true;
        self.feed(Event::HandlesGone)
    }

    fn pause(&mut self) {
        self.clock = self.machine.common.backoff.not_before;
        self.set_back();
    }

    fn tick_and(&mut self, racer: Option<usize>, lends: bool) -> Result<(), Violation> {
        (self.racer, self.lends) = (racer, lends);
        let ticked = self.tick();
        (self.racer, self.lends) = (None, false);
        ticked
    }

    fn tick(&mut self) -> Result<(), Violation> {
        let due = self.machine.deadline().unwrap_or(NOW);
        self.feed_at(Event::Tick, due.max(NOW))
    }

    pub(super) fn call(&mut self, index: usize) {
        self.clients[index].rounds -= 1;
        self.clients[index].stands = match self.word.take() {
            Some(word) => {
                self.word = word;
                Stands::Holding(word.instance())
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
            shut_down: false,
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

    /// The driver asks the machine only of an instance that is not known to be over.
    fn end_body(&mut self, index: usize) -> Result<(), Violation> {
        if let Stands::Holding(instance) = self.clients[index].stands {
            self.bodies -= 1;
            self.clients[index].stands = Stands::Confirming(instance);
            let body = index as u64;
            return self.feed(Event::BodyEnded { body });
        }
        Ok(())
    }

    pub(super) fn give_back(&mut self, instance: u64, outcome: Outcome) {
        let before = self.word;
        let Some(word) = (self.bug.give_back)(before, instance, outcome) else {
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
            self.unanswered += u32::from(self.silences > 0);
            self.silences = self.silences.saturating_sub(1);
        }
    }

    /// A server that does nothing.
    fn tell_unanswered(&mut self, later: bool) -> Result<(), Violation> {
        let requests = std::mem::take(&mut self.unanswered);
        let answered = self.alive_since;
        let now = if later { NOW + SEC } else { NOW };
        let cpu = Some(std::time::Duration::ZERO);
        let unanswered = Unanswered {
            requests,
            answered,
            cpu,
        };
        self.feed_at(Event::Unanswered(unanswered), now)
    }

    fn probed(&mut self, sight: Sight, foreign: bool, evil: bool) -> Result<(), Violation> {
        self.probing = false;
        self.strangers -= u8::from(evil);
        self.impostor = evil;
        let fed = self.feed(Event::Probed {
            sight,
            foreign,
            detail: String::new(),
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
                    instance: self.word.instance(),
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
            (_, process) => {
                let instance = process.take().map(|it| it.instance);
                let unread = instance.is_some_and(|it| self.holders(it) > 0);
                self.cut = false;
                self.cut_from = None;
                self.feed(Event::Gone { unread })
            }
        }
    }
}
