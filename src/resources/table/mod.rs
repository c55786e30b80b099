//! Which service of this program has what, and which ones wait for it.
//!
//! An address is a resource of capacity one, beside those that have a name. All changes and all plans are made under
//! one lock. Requests that find their server ready know nothing of it: their lease word is what decides between a
//! request and a service that has to make way. The table closes the words of all that are to leave, or of none.
//!
//! What a service needs beside its addresses, it may have to share with services of other programs. Then all programs
//! make the same plan, of the same [seats](super::peers::Seats), and each one does the part of it that concerns its own
//! services.
//!
//! A service's task decides what it does with an event while it has its [`Gate`]. The table takes the gate before it
//! closes the word, so that no task decides on a word that is being closed.

mod between;
mod entry;
mod place;
mod shortage;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use self::{between::Between, entry::Entry};
pub(crate) use self::{
    place::Place,
    shortage::{Shortage, Usage},
};
use super::{
    peers::{Folder, Seats, clock},
    plan::{self, Amounts, Id, Plan},
};
use crate::{amount::Amount, config::Address};

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

    /// Names what stays locked until nothing of it is left, for other programs.
    fn instance(&self) -> Option<String>;
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
}

struct State {
    /// What each registry says.
    capacities: BTreeMap<u64, BTreeMap<String, Amount>>,
    entries: BTreeMap<Id, Entry>,
    numbers: u64,
    /// When the last wait began, in nanoseconds on the clock that all processes share.
    stamp: u64,
    between: Between,
}

/// A moment, on the clock of this program and on that of all processes.
#[derive(Clone, Copy)]
struct Moment {
    here: Instant,
    shared: Duration,
}

impl Default for Table {
    /// A table that no other program knows of.
    fn default() -> Self {
        Self::new(Arc::new(|| None))
    }
}

impl Moment {
    fn now() -> Self {
        Self {
            here: Instant::now(),
            shared: clock::now(),
        }
    }

    /// On the clock of all processes.
    fn shared(&self, at: Instant) -> Duration {
        let past = self.here.saturating_duration_since(at);
        let to_come = at.saturating_duration_since(self.here);
        self.shared.saturating_sub(past).saturating_add(to_come)
    }
}

impl Table {
    /// A table that is shared with the programs which use the same folder; `None` for none.
    pub(crate) fn new(folder: Folder) -> Self {
        let state = State {
            capacities: BTreeMap::new(),
            entries: BTreeMap::new(),
            numbers: 0,
            stamp: 0,
            between: Between::new(Seats::new(folder)),
        };
        Self {
            state: Mutex::new(state),
            next: watch::Sender::new(None),
        }
    }

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
        let (id, since) = (state.number(), state.stamp());
        let (said, receiver) = watch::channel(Said {
            waits: true,
            ..Said::default()
        });
        let entry = Entry::new(name, addresses, server, gate, since, said);
        state.entries.insert(id, entry);
        drop(state);
        Place::new(self.clone(), id, receiver, self.next.subscribe())
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

    /// How each named resource is used, here and by other programs.
    pub(crate) fn usage(&self) -> BTreeMap<String, Usage> {
        let mut state = self.lock();
        let mut all = state.usage();
        state.between.add_to(&mut all);
        all
    }

    /// How each named resource is used here.
    #[cfg(feature = "metrics")]
    pub(crate) fn usage_here(&self) -> BTreeMap<String, Usage> {
        self.lock().usage()
    }

    /// What the service waits for that has this gate.
    pub(crate) fn shortage_of(&self, gate: &Arc<Gate>) -> Option<Shortage> {
        let state = self.lock();
        let mut entries = state.entries.iter();
        let (id, _) = entries.find(|(_, entry)| Arc::ptr_eq(&entry.gate, gate))?;
        state.shortage(*id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what the plan says, until it says nothing new. `me` is the service whose gate the caller has.
    fn replan(&self, state: &mut State, me: Option<Id>) {
        let meeting = state.meet();
        // In use after all: a lease was taken meanwhile, or its task is deciding something.
        let mut busy = BTreeSet::new();
        let (plan, in_use, now) = loop {
            let now = Moment::now();
            let (plan, in_use) = state.plan(&now, &busy);
            let may_have = |id: &Id| meeting.may_decide() || !state.wants_room(*id);
            let granted: Vec<_> = plan.grant.iter().copied().filter(may_have).collect();
            let granted = state.grant_all(&granted);
            let is_here = |id: &Id| state.entries.contains_key(id);
            let leave: Vec<_> = plan.leave.iter().copied().filter(is_here).collect();
            if !leave.is_empty()
                && let Err(id) = state.leave(&leave, me)
            {
                busy.insert(id);
                if let Some(entry) = state.entries.get_mut(&id) {
                    entry.was_busy = true;
                }
            } else if !granted && leave.is_empty() {
                break (plan, in_use, now);
            }
        };
        state.say(&plan, &in_use);
        state.tell_peers(&meeting, &plan, &now);
        let next = state.next_turn(&plan, now.here);
        self.next
            .send_if_modified(|was| std::mem::replace(was, next) != next);
    }
}

impl State {
    /// How each named resource is used by the services of this program.
    fn usage(&self) -> BTreeMap<String, Usage> {
        let mut all: BTreeMap<String, Usage> = BTreeMap::new();
        for name in self.capacities.values().flat_map(BTreeMap::keys) {
            let capacity = self.capacity(name).unwrap_or_default();
            all.entry(name.clone()).or_default().capacity = capacity;
        }
        for entry in self.entries.values() {
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

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// When a wait begins.
    fn stamp(&mut self) -> u64 {
        let now = u64::try_from(clock::now().as_nanos()).unwrap_or(u64::MAX);
        self.stamp = now.max(self.stamp + 1);
        self.stamp
    }

    fn capacity(&self, resource: &str) -> Option<Amount> {
        let said = self.capacities.values().filter_map(|it| it.get(resource));
        said.min().copied()
    }

    fn capacity_of(&self, resource: &Resource) -> u64 {
        match resource {
            Resource::Address(_) => 1,
            Resource::Named(name) => {
                let here = self.capacity(name).map_or(u64::MAX, Amount::get);
                here.min(self.between.capacity(name))
            }
        }
    }

    /// All resources that may be short. An address that no two want is none: with a thousand services, a plan would
    /// consist of those.
    fn resources(&self) -> Vec<Resource> {
        let mut addresses: BTreeMap<&Address, usize> = BTreeMap::new();
        for entry in self.entries.values() {
            // A peer that waits for it is one more.
            let wanted = if entry.rung.is_some() { 2 } else { 1 };
            for address in &entry.addresses {
                *addresses.entry(address).or_default() += wanted;
            }
        }
        let shared = addresses.into_iter().filter(|(_, wanted)| *wanted > 1);
        let shared = shared.map(|(address, _)| Resource::Address(address.clone()));
        let named: BTreeSet<_> = self
            .entries
            .values()
            .flat_map(|it| it.needs.keys())
            .collect();
        let named = named.into_iter().cloned().map(Resource::Named);
        shared.chain(named).collect()
    }

    /// Also says which services it takes to be in use.
    fn plan(&self, now: &Moment, busy: &BTreeSet<Id>) -> (Plan, BTreeSet<Id>) {
        let resources = self.resources();
        let capacity: Amounts = resources.iter().map(|it| self.capacity_of(it)).collect();
        let holders = self.entries.iter().filter_map(|(id, entry)| {
            let is_busy = busy.contains(id);
            let worth = self.between.worth(*id, now);
            entry.holder(*id, &resources, now, worth, is_busy)
        });
        let holders = holders.chain(self.between.holders(&resources, now));
        let holders: Vec<_> = holders.collect();
        let waiters = self.entries.iter();
        let waiters = waiters.flat_map(|(id, entry)| entry.waiters(*id, &resources, now.here));
        let waiters = waiters.chain(self.between.waiters(&resources, now));
        let mut waiters: Vec<_> = waiters.collect();
        waiters.sort_by_key(|(since, _)| *since);
        let waiters: Vec<_> = waiters.into_iter().map(|(_, waiter)| waiter).collect();
        let in_use = holders.iter().filter(|it| it.stage.is_leased());
        let in_use = in_use.map(|it| it.id).chain(busy.iter().copied());
        (plan::plan(&capacity, &holders, &waiters), in_use.collect())
    }

    /// Says whether any of them is of this program.
    fn grant_all(&mut self, ids: &[Id]) -> bool {
        let here: Vec<_> = ids
            .iter()
            .filter(|id| self.entries.contains_key(id))
            .collect();
        for id in &here {
            self.grant(**id);
        }
        !here.is_empty()
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

    /// Says to each what the plan asks of it. What is in use is what the plan took to be so: a use by a peer may have
    /// ended since, without a word.
    fn say(&self, plan: &Plan, in_use: &BTreeSet<Id>) {
        for (id, entry) in &self.entries {
            let serves = matches!(entry.standing, Standing::Serves { .. });
            let asked = if plan.close.contains(id) {
                Asked::Close
            } else if plan.contested.contains(id) && serves {
                Asked::Wanted
            } else {
                Asked::Nothing
            };
            // A task that looks and finds no lease out offers to make way; one that finds a lease is woken by its end.
            let looks = asked != Asked::Nothing && in_use.contains(id);
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

    fn shortage(&self, id: Id) -> Option<Shortage> {
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
        let now = Moment::now();
        let too_little = |(resource, needs): &(Resource, u64), is_kept: bool| {
            let others = self.entries.iter().filter(|(other, _)| **other != id);
            let here = others.filter_map(|(_, it)| Some((it, it.amount_of(resource)?)));
            let here: Vec<_> = here.collect();
            let turns = here.iter().filter_map(|(it, _)| it.turn_left(now.here));
            let turn_ends_in = turns.chain(self.between.turns_left(resource, &now)).min();
            let here = here.iter().map(|(it, much)| (it.holder_name(), *much));
            let having: Vec<_> = here.chain(self.between.having(resource)).collect();
            let before = match entry.waits {
                Some(since) if is_kept => self.before(since, resource, &now),
                _ => Vec::new(),
            };
            let used = having.iter().map(|(_, it)| it);
            let taken = used.chain(before.iter().map(|(_, it)| it));
            let taken = taken.fold(0, |sum: u64, it| sum.saturating_add(*it));
            let capacity = self.capacity_of(resource);
            (*needs > capacity.saturating_sub(taken)).then(|| Shortage {
                is_address: matches!(resource, Resource::Address(_)),
                resource: resource.to_string(),
                needs: Amount::new(*needs),
                capacity: Amount::new(capacity),
                holders: having.into_iter().map(|(holder, _)| holder).collect(),
                before: before.into_iter().map(|(name, _)| name).collect(),
                turn_ends_in,
                is_undecided: false,
            })
        };
        let used = wanted.iter().find_map(|it| too_little(it, false));
        let kept = || wanted.iter().find_map(|it| too_little(it, true));
        used.or_else(kept).or_else(|| {
            let (resource, needs) = wanted.first()?;
            self.between.is_undecided.then(|| Shortage {
                resource: resource.to_string(),
                needs: Amount::new(*needs),
                capacity: Amount::new(self.capacity_of(resource)),
                is_undecided: true,
                ..Shortage::default()
            })
        })
    }

    /// The services that have asked earlier for some of this, and how much is kept for each.
    fn before(&self, since: u64, resource: &Resource, now: &Moment) -> Vec<(String, u64)> {
        let here = self.entries.values().filter(|it| {
            let is_earlier = it.waits.is_some_and(|it| it < since);
            is_earlier && !it.standing.is_polite()
        });
        let here = here.filter_map(|it| Some((it.name.clone(), it.wanted_of(resource)?)));
        here.chain(self.between.before(since, resource, now))
            .collect()
    }
}

impl Standing {
    /// It waits, makes none leave, and keeps none waiting.
    fn is_polite(self) -> bool {
        matches!(
            self,
            Self::Waits {
                is_polite: true,
                ..
            }
        )
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
