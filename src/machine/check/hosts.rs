//! Other host processes: they use our server, or have one of the same identity that we use.

use super::{
    Violation,
    environment::Step,
    world::{Endpoint, NOW, World},
};
use crate::machine::{Claim, Event};

impl World {
    /// What keeps our server from being stopped.
    pub(super) fn leases_out(&self) -> usize {
        match self.word.count() {
            0 => usize::from(self.is_lent()),
            out => out,
        }
    }

    /// Who does not own a server does not know who else uses it.
    pub(super) fn is_lent(&self) -> bool {
        self.lent.is_some() && matches!(self.endpoint, Endpoint::Ours { .. })
    }

    pub(super) fn may_lend(&self) -> bool {
        self.admits && self.lent.is_none() && self.hosts > 0
    }

    pub(super) fn lend(&mut self) {
        self.hosts -= 1;
        self.lent = Some(self.word.run());
    }

    pub(super) fn host_steps(&self, steps: &mut Vec<Step>) {
        if self.may_lend() {
            steps.push(Step::Lend);
        }
        if self.lent.is_some() {
            steps.push(Step::Return);
        }
        match self.endpoint {
            Endpoint::Asked { wanted: 0, .. } if self.hosts > 0 => steps.push(Step::GrantedToUse),
            Endpoint::Guest => steps.push(Step::Inherited),
            _ => {}
        }
    }

    pub(super) fn another_host_does(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Lend => self.lend(),
            Step::Return => {
                self.lent = None;
                self.idle_since = NOW;
                self.woken |= std::mem::take(&mut self.lent_seen);
            }
            Step::GrantedToUse => {
                self.hosts -= 1;
                self.endpoint = Endpoint::Guest;
                return self.feed(Event::Claim(Claim::Granted));
            }
            _ => self.endpoint = Endpoint::Ours { wanted: 0 },
        }
        Ok(())
    }
}
