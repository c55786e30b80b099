//! Other services: they want the address that this one has, or have it; and so with what it needs beside it.

use super::{
    Violation,
    environment::Step,
    world::{Address, CLIENTS, Room, Told, World},
};
use crate::machine::{Claim, Event, Stage};

impl World {
    pub(super) fn address_steps(&self, steps: &mut Vec<Step>) {
        let contested = match self.address {
            Address::NotOurs | Address::Guest { .. } => return,
            Address::Asked { missing, contested } => {
                steps.push(Step::Granted);
                // At the ports that this service has.
                if self.rivals > 0 && contested < self.ports - missing {
                    steps.push(Step::Contested);
                }
                contested
            }
            Address::Ours { contested } => {
                if self.rivals > 0 && contested < self.ports {
                    steps.push(Step::Contested);
                }
                contested
            }
        };
        if contested > 0 {
            steps.push(Step::Uncontested);
            self.way_steps(steps);
        }
        if self.room == Room::Asked {
            steps.extend([Step::Room, Step::NoRoom]);
        }
    }

    /// What another service that waits may ask of this one.
    fn way_steps(&self, steps: &mut Vec<Step>) {
        if !matches!(self.address, Address::Ours { .. }) {
            return;
        }
        match self.machine.stage {
            Stage::Serving(_) => {
                let is_idle = self.leases_out() == 0;
                if is_idle {
                    steps.push(Step::Leave);
                }
                if is_idle && self.word.is_open() {
                    let callers = (0..CLIENTS).filter(|it| self.may_call(*it));
                    steps.extend(callers.map(Step::LeaveAndCall));
                }
                // It looks again where it sees leases.
                if self.told != Told::Wanted || !is_idle && !self.awaited {
                    steps.push(Step::Wanted);
                }
                if self.told != Told::Contested {
                    steps.push(Step::Close);
                }
            }
            Stage::Inspecting(_)
            | Stage::Spawning(_)
            | Stage::Loading(_)
            | Stage::AwaitingPort(_)
                if self.machine.waiters() == 0 || self.machine.common.retired =>
            {
                steps.push(Step::Leave);
            }
            _ => {}
        }
    }

    pub(super) fn others_do(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Granted | Step::Contested | Step::Uncontested => self.address_changes(step),
            Step::LeaveAndCall(index) => {
                self.call(index);
                self.others_say(Step::Leave)
            }
            Step::Wanted | Step::Close | Step::Leave | Step::Room | Step::NoRoom => {
                self.others_say(step)
            }
            _ => self.peer_does(step),
        }
    }

    fn others_say(&mut self, step: Step) -> Result<(), Violation> {
        let claim = match step {
            Step::Wanted => Claim::Wanted,
            Step::Close => Claim::Contested,
            Step::Room => Claim::Room,
            Step::NoRoom => Claim::NoRoom,
            _ => Claim::Leave,
        };
        match claim {
            Claim::Wanted => (self.told, self.awaited) = (Told::Wanted, true),
            Claim::Contested => (self.told, self.awaited) = (Told::Contested, true),
            Claim::Room => self.room = Room::Ours,
            Claim::Leave if matches!(self.machine.stage, Stage::Serving(_)) => {
                let Some(word) = (self.bug.close_if_free)(self.word) else {
                    // It is in use after all.
                    return Ok(());
                };
                self.word = word;
                self.admits = false;
            }
            _ => {}
        }
        self.makes_way |= claim == Claim::Leave;
        self.feed(Event::Claim(claim))
    }

    /// The machine gets one answer for the whole address.
    fn address_changes(&mut self, step: Step) -> Result<(), Violation> {
        self.rivals -= u8::from(step == Step::Contested);
        match (&mut self.address, step) {
            (Address::Asked { missing, .. }, Step::Granted) if *missing > 1 => *missing -= 1,
            (Address::Asked { contested, .. }, Step::Granted) => {
                let contested = *contested;
                self.address = Address::Ours { contested };
                return self.feed(Event::Claim(Claim::Owner));
            }
            (Address::Asked { contested, .. }, Step::Uncontested) => *contested -= 1,
            (Address::Ours { contested }, Step::Uncontested) => {
                *contested -= 1;
                if *contested == 0 && self.told != Told::Nothing {
                    (self.told, self.awaited) = (Told::Nothing, false);
                    return self.feed(Event::Claim(Claim::Uncontested));
                }
            }
            (Address::Asked { contested, .. } | Address::Ours { contested }, _) => {
                *contested += 1;
            }
            (Address::NotOurs | Address::Guest { .. }, _) => {}
        }
        Ok(())
    }
}
