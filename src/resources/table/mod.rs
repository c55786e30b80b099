//! Which service of this program has what, and which ones wait for it.
//!
//! An address is a resource of capacity one, beside those that have a name. All changes and all plans are made under
//! one lock. Requests that find their server ready know nothing of it: their lease word is what decides between a
//! request and a service that has to make way. The table closes the words of all that are to leave, or of none.
//!
//! A service's task decides what it does with an event while it has its [`Gate`]. The table takes the gate before it
//! closes the word, so that no task decides on a word that is being closed.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::plan::{self, Amounts, Holder, Id, Plan, Stage, Use, Waiter};
use crate::config::{Address, Amount, Needs, Turn};

/// Held by the task of a service while it takes an event.
pub(crate) type Gate = Mutex<()>;

/// A peer that waits for the address of this entry.
const RUNG: Id = 1 << 63;

/// What the table has to know of a service's server, and may do to it.
pub(crate) trait Server: Send + Sync {
    /// Whether a lease is out, here or in a peer.
    fn is_in_use(&self) -> bool;

    /// When it was last used.
    fn idle_since(&self) -> Instant;

    /// Gives out no more leases, unless one is out. Says whether it did before.
    fn close_if_free(&self) -> Option<bool>;

    /// Takes that back.
    fn reopen(&self);
}

/// How far a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Waits {
        /// It makes none leave, and keeps none waiting.
        is_polite: bool,
        /// When no turn counts any more.
        impatient_at: Option<Instant>,
    },
    Starts {
        wanted: bool,
    },
    Serves {
        /// How long its start took.
        took: Duration,
    },
    Leaves,
}

/// What the table says to a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Said {
    /// For the addresses, or for room.
    pub(super) waits: bool,
    pub(super) has_address: bool,
    pub(super) has_room: bool,
    /// It can never have what it waits for, beside those that never make way.
    pub(super) no_room: bool,
    pub(super) asked: Asked,
    /// Goes up when it is to look again whether a lease is out.
    pub(super) looks: u32,
}

/// What a service is asked to do for another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Asked {
    #[default]
    Nothing,
    /// It says when no lease is out.
    Wanted,
    /// It gives out no new leases.
    Close,
    /// Its word is closed, or no caller waits for its start.
    Leave,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Resource {
    Address(Address),
    Named(String),
}

/// What the services of this program have and want.
pub(crate) struct Table {
    state: Mutex<State>,
    /// When a turn ends that is waited for.
    next: watch::Sender<Option<Instant>>,
    epoch: Instant,
}

#[derive(Default)]
struct State {
    /// What each registry says.
    capacities: BTreeMap<u64, BTreeMap<String, Amount>>,
    entries: BTreeMap<Id, Entry>,
    /// Of entries, and of waits in the order in which they began.
    numbers: u64,
}

struct Entry {
    name: String,
    server: Arc<dyn Server>,
    gate: Arc<Gate>,
    addresses: Vec<Address>,
    /// What it has beside the addresses, or waits for.
    needs: Needs,
    /// Since when it waits for what it has not: for the addresses first.
    waits: Option<u64>,
    /// Since when a peer waits for its address.
    rung: Option<u64>,
    standing: Standing,
    served_since: Instant,
    is_pinned: bool,
    turn: Turn,
    said: watch::Sender<Said>,
}

/// The place of a service in the table; dropping it gives back what it has.
pub(crate) struct Place {
    table: Arc<Table>,
    id: Id,
    said: watch::Receiver<Said>,
    next: watch::Receiver<Option<Instant>>,
}

/// Of what there is too little for a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) resource: String,
    pub(crate) is_address: bool,
    pub(crate) needs: Amount,
    pub(crate) capacity: Amount,
    /// Who has it, and whether it is in use.
    pub(crate) holders: Vec<(String, bool)>,
    /// How long the turns last that are all that is waited for.
    pub(crate) turn_ends_in: Option<Duration>,
}

/// How a named resource is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) capacity: Amount,
    pub(crate) holders: Vec<(String, Amount)>,
    pub(crate) waiting: Vec<(String, Amount)>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            next: watch::Sender::new(None),
            epoch: Instant::now(),
        }
    }
}

impl Table {
    /// A place for a service that waits for these addresses, all at once. Nothing is planned before it says how it
    /// stands.
    pub(crate) fn join(
        self: &Arc<Self>,
        name: &str,
        addresses: &[Address],
        server: Arc<dyn Server>,
        gate: Arc<Gate>,
    ) -> Place {
        let mut state = self.lock();
        let id = state.number();
        let (said, receiver) = watch::channel(Said {
            waits: true,
            ..Said::default()
        });
        state.entries.insert(
            id,
            Entry {
                name: name.to_owned(),
                server,
                gate,
                addresses: addresses.to_vec(),
                needs: Needs::new(),
                waits: Some(id),
                rung: None,
                standing: Standing::Waits {
                    is_polite: true,
                    impatient_at: None,
                },
                served_since: Instant::now(),
                is_pinned: false,
                turn: Turn::default(),
                said,
            },
        );
        drop(state);
        Place {
            table: self.clone(),
            id,
            said: receiver,
            next: self.next.subscribe(),
        }
    }

    /// What this registry says that there is.
    pub(crate) fn set_capacities(&self, registry: u64, capacities: BTreeMap<String, Amount>) {
        let mut state = self.lock();
        if capacities.is_empty() {
            state.capacities.remove(&registry);
        } else {
            state.capacities.insert(registry, capacities);
        }
        self.replan(&mut state, None);
    }

    /// How much there is: the least that any registry says; `None` if none does.
    pub(crate) fn capacity(&self, resource: &str) -> Option<Amount> {
        self.lock().capacity(resource)
    }

    /// The same, without what this registry says.
    pub(crate) fn capacity_without(&self, registry: u64, resource: &str) -> Option<Amount> {
        let state = self.lock();
        let others = state.capacities.iter().filter(|(id, _)| **id != registry);
        others
            .filter_map(|(_, said)| said.get(resource))
            .min()
            .copied()
    }

    /// How each named resource is used.
    pub(crate) fn usage(&self) -> BTreeMap<String, Usage> {
        let state = self.lock();
        let mut all: BTreeMap<String, Usage> = BTreeMap::new();
        for name in state.capacities.values().flat_map(BTreeMap::keys) {
            let capacity = state.capacity(name).unwrap_or_default();
            all.entry(name.clone()).or_default().capacity = capacity;
        }
        for entry in state.entries.values() {
            let said = *entry.said.borrow();
            for (name, amount) in &entry.needs {
                let usage = all.entry(name.clone()).or_default();
                let list = if said.has_room {
                    &mut usage.holders
                } else {
                    &mut usage.waiting
                };
                list.push((entry.name.clone(), *amount));
            }
        }
        all
    }

    /// What the service waits for that has this gate.
    pub(crate) fn shortage_of(&self, gate: &Arc<Gate>) -> Option<Shortage> {
        let state = self.lock();
        let mut entries = state.entries.iter();
        let (id, _) = entries.find(|(_, entry)| Arc::ptr_eq(&entry.gate, gate))?;
        state.shortage(*id, self.epoch)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the plan says, until it says nothing new. `me` is the service whose gate the caller has.
    fn replan(&self, state: &mut State, me: Option<Id>) {
        // In use after all: a lease was taken meanwhile, or its task is deciding something.
        let mut busy = BTreeSet::new();
        let (plan, now) = loop {
            let now = Instant::now();
            let plan = state.plan(now, self.epoch, &busy);
            for id in &plan.grant {
                state.grant(*id);
            }
            if !plan.leave.is_empty()
                && let Err(id) = state.leave(&plan.leave, me)
            {
                busy.insert(id);
            } else if plan.grant.is_empty() && plan.leave.is_empty() {
                break (plan, now);
            }
        };
        state.say(&plan, &busy);
        let next = state.next_turn(&plan, now);
        self.next
            .send_if_modified(|was| std::mem::replace(was, next) != next);
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn capacity(&self, resource: &str) -> Option<Amount> {
        let said = self.capacities.values().filter_map(|it| it.get(resource));
        said.min().copied()
    }

    fn capacity_of(&self, resource: &Resource) -> u64 {
        match resource {
            Resource::Address(_) => 1,
            Resource::Named(name) => self.capacity(name).map_or(u64::MAX, Amount::get),
        }
    }

    /// All resources that an entry has or wants.
    fn resources(&self) -> Vec<Resource> {
        let all = self.entries.values().flat_map(|entry| {
            let named = entry.needs.keys().cloned().map(Resource::Named);
            let addresses = entry.addresses.iter().cloned().map(Resource::Address);
            addresses.chain(named)
        });
        let all: BTreeSet<_> = all.collect();
        all.into_iter().collect()
    }

    fn plan(&self, now: Instant, epoch: Instant, busy: &BTreeSet<Id>) -> Plan {
        let resources = self.resources();
        let capacity: Amounts = resources.iter().map(|it| self.capacity_of(it)).collect();
        let holders = self.entries.iter().filter_map(|(id, entry)| {
            let said = *entry.said.borrow();
            said.has_address.then(|| Holder {
                id: *id,
                has: entry.amounts(&resources, said.has_address, said.has_room),
                stage: entry.stage(now, busy.contains(id)),
                is_pinned: entry.is_pinned,
                worth: entry.worth(epoch),
            })
        });
        let holders: Vec<_> = holders.collect();
        let mut waiters: Vec<_> = self
            .entries
            .iter()
            .flat_map(|(id, entry)| entry.waiters(*id, &resources, now))
            .collect();
        waiters.sort_by_key(|(since, _)| *since);
        let waiters: Vec<_> = waiters.into_iter().map(|(_, waiter)| waiter).collect();
        plan::plan(&capacity, &holders, &waiters)
    }

    fn grant(&mut self, id: Id) {
        let Some(entry) = self.entries.get_mut(&id) else {
            return;
        };
        entry.waits = None;
        entry.standing = Standing::Starts { wanted: true };
        entry.said.send_modify(|said| {
            said.waits = false;
            said.has_room = said.has_address;
            said.has_address = true;
        });
    }

    /// All of these leave, or none: then the one is returned that cannot.
    fn leave(&mut self, ids: &[Id], me: Option<Id>) -> Result<(), Id> {
        let entries: Vec<_> = ids.iter().map(|id| (*id, &self.entries[id])).collect();
        let mut gates = Vec::new();
        for (id, entry) in &entries {
            match entry.gate.try_lock() {
                Ok(gate) => gates.push(gate),
                Err(TryLockError::Poisoned(poisoned)) => gates.push(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if me == Some(*id) => {}
                Err(TryLockError::WouldBlock) => return Err(*id),
            }
        }
        let mut closed: Vec<&Entry> = Vec::new();
        for (id, entry) in &entries {
            if !matches!(entry.standing, Standing::Serves { .. }) {
                continue;
            }
            match entry.server.close_if_free() {
                Some(true) => closed.push(entry),
                Some(false) => {}
                None => {
                    for entry in closed {
                        entry.server.reopen();
                    }
                    return Err(*id);
                }
            }
        }
        for (_, entry) in &entries {
            entry.said.send_modify(|said| said.asked = Asked::Leave);
        }
        drop(gates);
        for id in ids {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.standing = Standing::Leaves;
            }
        }
        Ok(())
    }

    /// Says to each what the plan asks of it.
    fn say(&self, plan: &Plan, busy: &BTreeSet<Id>) {
        for (id, entry) in &self.entries {
            let serves = matches!(entry.standing, Standing::Serves { .. });
            let asked = if plan.close.contains(id) {
                Asked::Close
            } else if plan.contested.contains(id) && serves {
                Asked::Wanted
            } else {
                Asked::Nothing
            };
            // Who reads that no lease is out says so, and who reads that one is learns of its end.
            let looks = asked != Asked::Nothing && (busy.contains(id) || entry.server.is_in_use());
            let no_room = plan.no_room.contains(id);
            entry.said.send_if_modified(|said| {
                let before = *said;
                said.no_room = no_room;
                said.looks = said.looks.wrapping_add(u32::from(looks));
                if said.asked != Asked::Leave {
                    said.asked = asked;
                }
                before != *said
            });
        }
    }

    /// When the next plan may differ because time has passed.
    fn next_turn(&self, plan: &Plan, now: Instant) -> Option<Instant> {
        let holders = plan.in_turn.iter().filter_map(|id| self.entries.get(id));
        let ends = holders.filter_map(|entry| {
            if entry.server.is_in_use() {
                entry.turn_ends()
            } else {
                entry.linger_ends()
            }
        });
        let ends: Vec<_> = ends.collect();
        if ends.is_empty() {
            return None;
        }
        let impatient = self
            .entries
            .values()
            .filter_map(|entry| match entry.standing {
                Standing::Waits { impatient_at, .. } => impatient_at,
                _ => None,
            });
        impatient.chain(ends).filter(|at| *at > now).min()
    }

    fn shortage(&self, id: Id, epoch: Instant) -> Option<Shortage> {
        let entry = self.entries.get(&id)?;
        let said = *entry.said.borrow();
        entry.waits?;
        let wanted: Vec<(Resource, u64)> = if said.has_address {
            let named = entry.needs.iter();
            named
                .map(|(name, amount)| (Resource::Named(name.clone()), amount.get()))
                .collect()
        } else {
            let addresses = entry.addresses.iter().cloned();
            addresses.map(|it| (Resource::Address(it), 1)).collect()
        };
        let now = Instant::now();
        let plan = self.plan(now, epoch, &BTreeSet::new());
        let turns = plan.in_turn.iter().filter_map(|id| self.entries.get(id));
        let turn_ends = turns.filter_map(Entry::turn_ends).max();
        let only_turns = plan.close.is_empty().then_some(turn_ends).flatten();
        wanted.into_iter().find_map(|(resource, needs)| {
            let others = self.entries.iter().filter(|(other, _)| **other != id);
            let having: Vec<_> = others
                .filter_map(|(_, it)| Some((it, it.amount_of(&resource)?)))
                .collect();
            let used: u64 = having
                .iter()
                .fold(0, |sum, (_, it)| sum.saturating_add(*it));
            let capacity = self.capacity_of(&resource);
            let is_short = needs > capacity.saturating_sub(used);
            is_short.then(|| Shortage {
                is_address: matches!(resource, Resource::Address(_)),
                resource: resource.to_string(),
                needs: Amount::new(needs),
                capacity: Amount::new(capacity),
                holders: having
                    .iter()
                    .map(|(it, _)| (it.name.clone(), it.server.is_in_use()))
                    .collect(),
                turn_ends_in: only_turns.map(|at| at.saturating_duration_since(now)),
            })
        })
    }
}

impl Entry {
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
    fn amount_of(&self, resource: &Resource) -> Option<u64> {
        let said = *self.said.borrow();
        let amounts = self.amounts(
            std::slice::from_ref(resource),
            said.has_address,
            said.has_room,
        );
        amounts.into_iter().find(|it| *it > 0)
    }

    fn waiters(
        &self,
        id: Id,
        resources: &[Resource],
        now: Instant,
    ) -> impl Iterator<Item = (u64, Waiter)> {
        let has_address = self.said.borrow().has_address;
        let (is_polite, impatient_at) = match self.standing {
            Standing::Waits {
                is_polite,
                impatient_at,
            } => (is_polite, impatient_at),
            // It has not said yet how it waits.
            _ => (true, None),
        };
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

    fn stage(&self, now: Instant, is_busy: bool) -> Stage {
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

    fn turn_ends(&self) -> Option<Instant> {
        self.served_since.checked_add(self.turn()?)
    }

    /// Within its turn, it counts as used for a moment after its last lease has ended.
    fn linger_ends(&self) -> Option<Instant> {
        let linger = self.turn()? / 10;
        let ends = self.server.idle_since().checked_add(linger)?;
        Some(ends.min(self.turn_ends()?))
    }

    fn worth(&self, epoch: Instant) -> Duration {
        match self.standing {
            Standing::Serves { took } => {
                let used = self.server.idle_since().saturating_duration_since(epoch);
                used.saturating_add(took.saturating_mul(3))
            }
            _ => Duration::ZERO,
        }
    }
}

impl Place {
    /// What the table says; `changed` resolves when it says something else.
    pub(super) fn said(&self) -> Said {
        *self.said.borrow()
    }

    /// Resolves when the table may say something new. Cancel safe.
    pub(super) async fn changed(&mut self) {
        let is_waiting = self.said().waits;
        let next = self.next.borrow_and_update().filter(|_| is_waiting);
        // The senders live as long as the table that this place holds.
        tokio::select! {
            _ = self.said.changed() => {}
            _ = self.next.changed(), if is_waiting => {}
            () = turn_ends(next) => self.replan(None),
        }
    }

    /// How the service stands now. The caller has its gate.
    pub(crate) fn report(&self, standing: Standing, is_pinned: bool, turn: Turn) {
        let mut state = self.table.lock();
        let Some(entry) = state.entries.get_mut(&self.id) else {
            return;
        };
        let is_news = (entry.standing, entry.is_pinned, entry.turn) != (standing, is_pinned, turn);
        let waits = entry.waits.is_some();
        let serves = |it| matches!(it, Standing::Serves { .. });
        if serves(standing) && !serves(entry.standing) {
            entry.served_since = Instant::now();
        }
        (entry.standing, entry.is_pinned, entry.turn) = (standing, is_pinned, turn);
        if is_news || waits {
            self.table.replan(&mut state, Some(self.id));
        }
    }

    /// Waits for this beside the addresses. It is planned with the next report.
    pub(crate) fn want(&self, needs: Needs) {
        let mut state = self.table.lock();
        let since = state.number();
        if let Some(entry) = state.entries.get_mut(&self.id)
            && !entry.said.borrow().has_room
        {
            entry.needs = needs;
            entry.waits = Some(entry.waits.unwrap_or(since));
            entry.said.send_modify(|said| said.waits = true);
        }
    }

    /// No lease is out, and another service waits. The caller has the gate.
    pub(crate) fn offer(&self) {
        self.replan(Some(self.id));
    }

    /// A peer waits for the address, or does not any more.
    pub(super) fn ring(&self, is_rung: bool) {
        let mut state = self.table.lock();
        let since = state.number();
        if let Some(entry) = state.entries.get_mut(&self.id)
            && entry.rung.is_some() != is_rung
        {
            entry.rung = is_rung.then_some(since);
            self.table.replan(&mut state, None);
        }
    }

    pub(crate) fn shortage(&self) -> Option<Shortage> {
        self.table.lock().shortage(self.id, self.table.epoch)
    }

    fn replan(&self, me: Option<Id>) {
        let mut state = self.table.lock();
        self.table.replan(&mut state, me);
    }
}

async fn turn_ends(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        state.entries.remove(&self.id);
        self.table.replan(&mut state, None);
    }
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_address {
            write!(f, "the address {}", self.resource)?;
        } else {
            write!(f, "{} of {}", self.needs, self.resource)?;
        }
        for (index, (name, is_in_use)) in self.holders.iter().enumerate() {
            let which = if index == 0 { ", which" } else { " and" };
            let uses = if *is_in_use { " and uses" } else { "" };
            write!(f, "{which} `{name}` has{uses}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        let names: Vec<_> = state.entries.values().map(|it| &it.name).collect();
        f.debug_struct("Table")
            .field("services", &names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("id", &self.id)
            .field("said", &self.said())
            .finish_non_exhaustive()
    }
}
