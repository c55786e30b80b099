//! Peers: they use our server, or have one of the same identity that this program uses.

use super::{
    Violation, ensure,
    environment::Step,
    world::{Address, NOW, World},
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

    /// A program that does not own a server does not know who else uses it.
    pub(super) fn is_lent(&self) -> bool {
        self.lent.is_some() && matches!(self.address, Address::Ours { .. })
    }

    pub(super) fn may_lend(&self) -> bool {
        self.admits && self.lent.is_none() && self.peers > 0
    }

    pub(super) fn lend(&mut self) {
        self.peers -= 1;
        self.lent = Some(self.word.instance());
    }

    pub(super) fn end_use(&mut self) -> Result<(), Violation> {
        let is_used = self.borrowed && self.word.count() > 0;
        ensure(!is_used, "the use of a peer's server ended under a lease")?;
        self.uses_peer = false;
        Ok(())
    }

    pub(super) fn peer_steps(&self, steps: &mut Vec<Step>) {
        if self.may_lend() {
            steps.push(Step::Lend);
        }
        if self.lent.is_some() {
            steps.push(Step::Return);
        }
        match self.address {
            Address::Asked { contested: 0, .. } if self.peers > 0 => {
                steps.push(Step::GuestOf { open: false });
                steps.push(Step::GuestOf { open: true });
            }
            Address::Guest { open } => {
                steps.push(Step::Inherited);
                if self.peers > 0 {
                    steps.push(Step::GuestOf { open: !open });
                }
                if self.rivals > 0 {
                    steps.push(Step::Outrun);
                }
            }
            _ => {}
        }
        if self.renewing {
            steps.push(Step::Renewed(Claim::Free));
            if self.borrowed {
                steps.push(Step::Renewed(Claim::Guest { open: true }));
                if self.peers > 0 {
                    steps.push(Step::Renewed(Claim::Lost));
                }
            }
        }
    }

    pub(super) fn peer_does(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Lend => self.lend(),
            Step::Return => {
                self.lent = None;
                self.idle_since = NOW;
                self.woken |= std::mem::take(&mut self.lent_seen);
            }
            Step::GuestOf { open } => {
                self.peers -= 1;
                self.address = Address::Guest { open };
                self.uses_peer = open;
                return self.feed(Event::Claim(Claim::Guest { open }));
            }
            Step::Inherited => {
                self.uses_peer = false;
                self.address = Address::Ours { contested: 0 };
                return self.feed(Event::Claim(Claim::Owner));
            }
            Step::Outrun => {
                self.rivals -= 1;
                self.uses_peer = false;
                self.address = Address::Asked {
                    missing: self.ports,
                    contested: 0,
                };
                return self.feed(Event::Claim(Claim::Rival));
            }
            Step::Renewed(claim) => {
                self.renewing = false;
                self.peers -= u8::from(claim == Claim::Lost);
                self.uses_peer = match claim {
                    Claim::Free => false,
                    Claim::Lost => self.uses_peer,
                    _ => true,
                };
                self.borrowed &= claim != Claim::Free;
                return self.feed(Event::Claim(claim));
            }
            _ => {}
        }
        Ok(())
    }
}
