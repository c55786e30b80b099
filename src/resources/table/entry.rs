//! A service in the table.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use super::{Asked, Gate, Moment, RUNG, Resource, Said, Server, Standing};
use crate::{
    amount::Amount,
    config::{Address, Needs, Turn},
    resources::plan::{Amounts, Holder, Id, Stage, Use, Waiter},
};

pub(super) struct Entry {
    pub(super) name: String,
    pub(super) server: Arc<dyn Server>,
    pub(super) gate: Arc<Gate>,
    pub(super) addresses: Vec<Address>,
    /// What it has beside the addresses, or waits for.
    pub(super) needs: Needs,
    /// Since when it waits for what it has not: for the addresses first.
    pub(super) waits: Option<u64>,
    /// Since when a peer waits for its address.
    pub(super) rung: Option<u64>,
    /// A peer waits for what it has beside the addresses, or has just done so.
    pub(super) is_contended: bool,
    pub(super) standing: Standing,
    /// It was to leave, and could not at that moment. The plan is made again when its task has decided what it does.
    pub(super) was_busy: bool,
    pub(super) served_since: Instant,
    pub(super) is_pinned: bool,
    pub(super) turn: Turn,
    pub(super) said: watch::Sender<Said>,
}

impl Entry {
    /// It waits for its addresses.
    pub(super) fn new(
        name: &str,
        addresses: &[Address],
        server: Arc<dyn Server>,
        gate: Arc<Gate>,
        since: u64,
        said: watch::Sender<Said>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            server,
            gate,
            addresses: addresses.to_vec(),
            needs: Needs::new(),
            waits: Some(since),
            rung: None,
            is_contended: false,
            standing: Standing::Waits {
                is_polite: true,
                impatient_at: None,
            },
            was_busy: false,
            served_since: Instant::now(),
            is_pinned: false,
            turn: Turn::default(),
            said,
        }
    }

    /// It waits for what it needs beside its addresses.
    pub(super) fn wants_room(&self) -> bool {
        self.waits.is_some() && self.said.borrow().has_address && !self.needs.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.said.borrow().has_room && !self.needs.is_empty()
    }

    /// Its name, and whether it is in use.
    pub(super) fn holder_name(&self) -> (String, bool) {
        (self.name.clone(), self.server.is_in_use())
    }

    /// What it has; `None` for nothing.
    pub(super) fn holder(
        &self,
        id: Id,
        resources: &[Resource],
        now: &Moment,
        worth: Option<Duration>,
        is_busy: bool,
    ) -> Option<Holder> {
        let said = *self.said.borrow();
        said.has_address.then(|| Holder {
            id,
            has: self.amounts(resources, said.has_address, said.has_room),
            stage: self.stage(now.here, is_busy),
            is_pinned: self.is_pinned,
            worth: worth.unwrap_or_else(|| self.worth(now)),
        })
    }

    /// How much it has of each resource, or wants of each.
    fn amounts(&self, resources: &[Resource], addresses: bool, named: bool) -> Amounts {
        let amount = |resource: &Resource| match resource {
            Resource::Address(address) => u64::from(addresses && self.addresses.contains(address)),
            Resource::Named(name) => {
                let needs = self.needs.get(name).filter(|_| named);
                needs.copied().map_or(0, Amount::get)
            }
        };
        resources.iter().map(amount).collect()
    }

    /// How much it has of this; `None` for nothing.
    pub(super) fn amount_of(&self, resource: &Resource) -> Option<u64> {
        let said = *self.said.borrow();
        let amounts = self.amounts(
            std::slice::from_ref(resource),
            said.has_address,
            said.has_room,
        );
        amounts.into_iter().find(|it| *it > 0)
    }

    /// How much it waits for of this; `None` for nothing.
    pub(super) fn wanted_of(&self, resource: &Resource) -> Option<u64> {
        let has_address = self.said.borrow().has_address;
        let resources = std::slice::from_ref(resource);
        let amounts = self.amounts(resources, !has_address, has_address);
        amounts.into_iter().find(|it| *it > 0)
    }

    pub(super) fn waiters(
        &self,
        id: Id,
        resources: &[Resource],
        now: Instant,
    ) -> impl Iterator<Item = (u64, Waiter)> {
        let has_address = self.said.borrow().has_address;
        let (is_polite, impatient_at) = self.manner();
        let own = self.waits.map(|since| {
            let waiter = Waiter {
                id,
                needs: self.amounts(resources, !has_address, has_address),
                is_polite,
                is_impatient: impatient_at.is_some_and(|at| at <= now),
            };
            (since, waiter)
        });
        // A peer knows of no turns.
        let peer = self.rung.map(|since| {
            let waiter = Waiter {
                id: id | RUNG,
                needs: self.amounts(resources, true, false),
                is_polite: false,
                is_impatient: true,
            };
            (since, waiter)
        });
        own.into_iter().chain(peer)
    }

    /// Whether it is polite, and when no turn counts any more.
    pub(super) fn manner(&self) -> (bool, Option<Instant>) {
        match self.standing {
            Standing::Waits {
                is_polite,
                impatient_at,
            } => (is_polite, impatient_at),
            // It has not said yet how it waits.
            _ => (true, None),
        }
    }

    pub(super) fn stage(&self, now: Instant, is_busy: bool) -> Stage {
        match self.standing {
            Standing::Waits { is_polite, .. } => Stage::Starting {
                wanted: !is_polite || is_busy,
            },
            Standing::Starts { wanted } => Stage::Starting {
                wanted: wanted || is_busy,
            },
            Standing::Leaves => Stage::Leaving,
            Standing::Serves { .. } => {
                let leased = is_busy || self.server.is_in_use();
                let in_turn = self.turn_ends().is_some_and(|at| now < at);
                let lingers = self.linger_ends().is_some_and(|at| now < at);
                Stage::Ready(Use {
                    leased,
                    in_turn,
                    lingers: !leased && in_turn && lingers,
                    closed: self.said.borrow().asked == Asked::Close,
                })
            }
        }
    }

    fn turn(&self) -> Option<Duration> {
        match self.standing {
            Standing::Serves { took } => Some(self.turn.after(took)),
            _ => None,
        }
    }

    pub(super) fn turn_ends(&self) -> Option<Instant> {
        self.served_since.checked_add(self.turn()?)
    }

    /// How long it is not yet asked to make way, because it is in use.
    pub(super) fn turn_left(&self, now: Instant) -> Option<Duration> {
        let ends = self.turn_ends().filter(|at| *at > now)?;
        let counts = !self.is_pinned && self.server.is_in_use();
        counts.then(|| ends.saturating_duration_since(now))
    }

    /// Within its turn, it counts as used for a moment after its last lease has ended.
    pub(super) fn linger_ends(&self) -> Option<Instant> {
        let linger = self.turn()? / 10;
        let ends = self.server.idle_since().checked_add(linger)?;
        Some(ends.min(self.turn_ends()?))
    }

    /// The lowest makes way first.
    pub(super) fn worth(&self, now: &Moment) -> Duration {
        match self.standing {
            Standing::Serves { took } => {
                let used = now.shared(self.server.idle_since());
                used.saturating_add(took.saturating_mul(3))
            }
            _ => Duration::ZERO,
        }
    }
}
