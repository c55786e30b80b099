//! The decision which services get room, and which ones make way for them.
//!
//! It is a pure function of what the services have and want. The table calls it after each change, under its lock, and
//! does what it says. Nothing is remembered between two plans: a service that was asked to make way and is not in the
//! next plan serves on.
//!
//! Why each rule is there:
//!
//! - *Room now and later.* A service starts in what is free now, but only as far as those before it do not need it once
//!   the services that leave have left. Without the second half, small services keep a big one waiting for ever.
//! - *Whether it suffices, first.* No service leaves before it is certain that the waiting one has room then.
//! - *Pruning.* The first candidates may turn out to be needless once a bigger one is chosen as well.
//! - *Together.* While one of the chosen is in use, the idle ones serve on: an idle model that is stopped ten minutes
//!   before the stream beside it ends is a model that was stopped for nothing.
//! - *Closed ones stay closed.* Of several that are in use, there would never be a moment in which all are idle.
//! - *No start is disturbed* that requests wait for: two services would stop each other's starts for ever.

#[cfg(test)]
mod tests;

use std::time::Duration;

/// Which claim on the table is meant.
pub(super) type Id = u64;

/// How much of each resource, in the order of the table.
pub(super) type Amounts = Vec<u64>;

/// A service that has something.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) id: Id,
    pub(super) has: Amounts,
    pub(super) stage: Stage,
    /// Never asked to make way.
    pub(super) is_pinned: bool,
    /// When it was last used, and later the longer its start takes: the lowest makes way first.
    pub(super) worth: Duration,
}

/// How far a service is that has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// From the grant to ready. One that is `wanted` is not disturbed.
    Starting {
        wanted: bool,
    },
    Ready(Use),
    /// What it has comes back.
    Leaving,
}

/// How a server is used that is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Use {
    /// Leases are out.
    pub(super) leased: bool,
    /// Its turn is not over.
    pub(super) in_turn: bool,
    /// Its turn is not over, and its last lease ended a moment ago: the next is likely to follow.
    pub(super) lingers: bool,
    /// It was asked to give out no new leases.
    pub(super) closed: bool,
}

impl Stage {
    pub(super) fn is_leased(self) -> bool {
        matches!(self, Self::Ready(Use { leased: true, .. }))
    }
}

/// A service that wants something.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    pub(super) id: Id,
    pub(super) needs: Amounts,
    /// It makes no service leave, and keeps none waiting.
    pub(super) is_polite: bool,
    /// It has waited for so long that no turn counts any more.
    pub(super) is_impatient: bool,
}

/// What each service is to do. A service that is not named serves on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// These get what they need.
    pub(super) grant: Vec<Id>,
    /// These give out no new leases.
    pub(super) close: Vec<Id>,
    /// These have no leases and leave now, all together.
    pub(super) leave: Vec<Id>,
    /// These cannot get what they need beside those that never make way.
    pub(super) no_room: Vec<Id>,
    /// These have something of which a waiting service has not enough.
    pub(super) contested: Vec<Id>,
    /// These are asked to make way when their turn is over.
    pub(super) in_turn: Vec<Id>,
}

/// What is left of each resource; less than nothing where a capacity was lowered under use.
#[derive(Clone, Debug)]
struct Room(Vec<i128>);

impl Room {
    fn fits(&self, needs: &[u64]) -> bool {
        self.short_of(needs).next().is_none()
    }

    /// The resources of which there is not enough.
    fn short_of<'a>(&'a self, needs: &'a [u64]) -> impl Iterator<Item = usize> {
        let both = needs.iter().zip(&self.0).enumerate();
        both.filter(|(_, (need, room))| **need > 0 && i128::from(**need) > **room)
            .map(|(at, _)| at)
    }

    fn take(&mut self, amounts: &[u64]) {
        let both = self.0.iter_mut().zip(amounts);
        both.for_each(|(room, amount)| *room -= i128::from(*amount));
    }

    fn give(&mut self, amounts: &[u64]) {
        let both = self.0.iter_mut().zip(amounts);
        both.for_each(|(room, amount)| *room += i128::from(*amount));
    }

    fn least(&self, other: &Self) -> Self {
        let both = self.0.iter().zip(&other.0);
        Self(both.map(|(one, other)| *one.min(other)).collect())
    }
}

/// Decides. The waiters are in the order in which they asked.
pub(super) fn plan(capacity: &[u64], holders: &[Holder], waiters: &[Waiter]) -> Plan {
    let mut planning = Planning::new(capacity, holders);
    let (polite, eager): (Vec<_>, Vec<_>) = waiters.iter().partition(|it| it.is_polite);
    for waiter in eager.into_iter().chain(polite) {
        planning.place(waiter);
    }
    planning.plan
}

struct Planning<'a> {
    holders: &'a [Holder],
    /// What those have not that are never made to leave.
    most: Room,
    now: Room,
    /// What will be free when those have left that are on their way.
    later: Room,
    chosen: Vec<Id>,
    plan: Plan,
}

impl<'a> Planning<'a> {
    fn new(capacity: &[u64], holders: &'a [Holder]) -> Self {
        let all = Room(capacity.iter().map(|it| i128::from(*it)).collect());
        let (mut most, mut now, mut later) = (all.clone(), all.clone(), all);
        for holder in holders {
            now.take(&holder.has);
            if holder.stage != Stage::Leaving {
                later.take(&holder.has);
            }
            if holder.is_pinned && holder.stage != Stage::Leaving {
                most.take(&holder.has);
            }
        }
        Self {
            holders,
            most,
            now,
            later,
            chosen: Vec::new(),
            plan: Plan::default(),
        }
    }

    fn place(&mut self, waiter: &Waiter) {
        let needs = &waiter.needs;
        if self.now.least(&self.later).fits(needs) {
            self.now.take(needs);
            self.later.take(needs);
            self.plan.grant.push(waiter.id);
            return;
        }
        if waiter.is_polite {
            return;
        }
        if !self.most.fits(needs) {
            self.plan.no_room.push(waiter.id);
            return;
        }
        self.contest(needs);
        let (chosen, room) = self.choose(waiter);
        if room.fits(needs) {
            self.ask(&chosen, waiter);
            self.later = room;
        }
        // Otherwise a start has to end first: no service leaves before that is known to suffice.
        self.later.take(needs);
    }

    fn contest(&mut self, needs: &[u64]) {
        let short: Vec<_> = self.now.short_of(needs).collect();
        let has_some = |holder: &&Holder| short.iter().any(|&at| holder.has[at] > 0);
        for holder in self.holders.iter().filter(has_some) {
            if !self.plan.contested.contains(&holder.id) {
                self.plan.contested.push(holder.id);
            }
        }
    }

    /// Those that make way for the waiter, and the room when they have left; too little, if it has to wait for a
    /// start.
    fn choose(&self, waiter: &Waiter) -> (Vec<&'a Holder>, Room) {
        let may_leave = |holder: &&Holder| {
            let starts = holder.stage == Stage::Starting { wanted: true };
            let stays = starts || holder.stage == Stage::Leaving || holder.is_pinned;
            !stays && !self.chosen.contains(&holder.id)
        };
        let mut candidates: Vec<_> = self.holders.iter().filter(may_leave).collect();
        candidates.sort_by_key(|it| (it.is_in_use(waiter), it.worth));
        let mut chosen = Vec::new();
        let mut room = self.later.clone();
        for candidate in candidates {
            let helps = room.short_of(&waiter.needs).any(|at| candidate.has[at] > 0);
            if helps {
                room.give(&candidate.has);
                chosen.push(candidate);
            }
        }
        if room.fits(&waiter.needs) {
            // None leaves that need not: the last chosen are let off first.
            for at in (0..chosen.len()).rev() {
                let mut without = room.clone();
                without.take(&chosen[at].has);
                if without.fits(&waiter.needs) {
                    room = without;
                    chosen.remove(at);
                }
            }
        }
        (chosen, room)
    }

    fn ask(&mut self, chosen: &[&Holder], waiter: &Waiter) {
        let all_idle = !chosen.iter().any(|it| it.is_in_use(waiter));
        for holder in chosen {
            self.chosen.push(holder.id);
            if all_idle {
                self.plan.leave.push(holder.id);
            } else if let Stage::Ready(how) = holder.stage {
                if how.closed || how.leased && (!how.in_turn || waiter.is_impatient) {
                    self.plan.close.push(holder.id);
                } else if how.leased || how.lingers {
                    self.plan.in_turn.push(holder.id);
                }
                // An idle one can leave at any time, and serves until all are idle.
            }
        }
    }
}

impl Holder {
    fn is_in_use(&self, waiter: &Waiter) -> bool {
        let Stage::Ready(how) = self.stage else {
            return false;
        };
        how.leased || how.lingers && !how.closed && !waiter.is_impatient
    }
}
