//! The services of other programs: their part of the plan is known from their seats, and they learn of it from the
//! seats of this program.

use std::{collections::BTreeMap, mem, path::PathBuf, process, time::Duration};

use tokio::time::Instant;

use super::{Moment, Resource, State, Usage, entry::Entry};
use crate::{
    amount::Amount,
    resources::{
        peers::{Meeting, Seat, SeatStage, Seats},
        plan::{Amounts, Holder, Id, Plan, Stage, Use, Waiter},
    },
};

/// A service of another program, by the number of its seat.
const PEER: Id = 1 << 62;

/// How long a seat is kept fresh by a program that looks at the seats every second or more often.
const FRESH: Duration = Duration::from_secs(3);

pub(super) struct Between {
    seats: Seats,
    /// As they were when the programs last met.
    peers: Vec<(u16, Seat)>,
    /// The peers that have what a service of this program waits for.
    contested: Vec<u16>,
    /// Another program was deciding when this one last tried to.
    pub(super) is_undecided: bool,
    met_at: Option<Instant>,
}

impl Between {
    pub(super) fn new(seats: Seats) -> Self {
        Self {
            seats,
            peers: Vec::new(),
            contested: Vec::new(),
            is_undecided: false,
            met_at: None,
        }
    }

    pub(super) fn has_peers(&self) -> bool {
        self.seats.has_peers()
    }

    /// The service has nothing any more, and waits for nothing.
    pub(super) fn leave(&mut self, id: Id) {
        self.seats.leave(id);
    }

    pub(super) fn bell_of(&self, id: Id) -> Option<PathBuf> {
        self.seats.bell_of(id)
    }

    /// The worth of a service of this program, as it was written when the contention began. All programs have to compare
    /// the same: otherwise each one's own server in use is the one that was used last, and the other one is to leave.
    pub(super) fn worth(&self, id: Id, now: &Moment) -> Option<Duration> {
        let seat = self.seats.written(id)?;
        match seat.stage {
            SeatStage::Serves { worth, .. } if is_fresh(seat, now.shared) => Some(worth),
            _ => None,
        }
    }

    /// The bells of the peers that have what a service of this program waits for.
    pub(super) fn to_ask(&self) -> Vec<PathBuf> {
        let contested = self.contested.iter();
        contested.filter_map(|it| self.seats.bell(*it)).collect()
    }

    /// The smallest amount that a peer says there is.
    pub(super) fn capacity(&self, resource: &str) -> u64 {
        let said = self.peers.iter().map(|(_, seat)| &seat.capacities);
        let said = said.filter_map(|it| it.get(resource).copied());
        said.min().unwrap_or(u64::MAX)
    }

    pub(super) fn holders(
        &self,
        resources: &[Resource],
        now: &Moment,
    ) -> impl Iterator<Item = Holder> {
        self.peers.iter().filter_map(|(number, seat)| {
            Some(Holder {
                id: PEER | Id::from(*number),
                has: amounts(seat, resources),
                stage: stage(seat, now.shared)?,
                is_pinned: seat.is_pinned && is_fresh(seat, now.shared),
                worth: match seat.stage {
                    SeatStage::Serves { worth, .. } => worth,
                    _ => Duration::ZERO,
                },
            })
        })
    }

    pub(super) fn waiters(
        &self,
        resources: &[Resource],
        now: &Moment,
    ) -> impl Iterator<Item = (u64, Waiter)> {
        // A program that is suspended keeps no other waiting.
        let here = self.peers.iter();
        let fresh = here.filter(|(_, seat)| is_fresh(seat, now.shared));
        fresh.filter_map(|(number, seat)| match seat.stage {
            SeatStage::Waits {
                since,
                is_polite,
                impatient_at,
            } => Some((
                since,
                Waiter {
                    id: PEER | Id::from(*number),
                    needs: amounts(seat, resources),
                    is_polite,
                    is_impatient: impatient_at.is_some_and(|at| at <= now.shared),
                },
            )),
            _ => None,
        })
    }

    /// The peers that have some of this: each one's name, whether it is in use, and how much it has.
    pub(super) fn having(
        &self,
        resource: &Resource,
    ) -> impl Iterator<Item = ((String, bool), u64)> {
        self.peers.iter().filter_map(move |(_, seat)| {
            let amount = amount(seat, resource);
            let is_in_use = match seat.stage {
                SeatStage::Waits { .. } => return None,
                SeatStage::Serves { is_in_use, .. } => is_in_use,
                SeatStage::Starts { .. } | SeatStage::Leaves => false,
            };
            (amount > 0).then(|| ((seat.holder(), is_in_use), amount))
        })
    }

    /// What is left of the turns of the peers that use this.
    pub(super) fn turns_left(
        &self,
        resource: &Resource,
        now: &Moment,
    ) -> impl Iterator<Item = Duration> {
        self.peers.iter().filter_map(move |(_, seat)| {
            let counts = amount(seat, resource) > 0 && !seat.is_pinned;
            match stage(seat, now.shared)? {
                Stage::Ready(how) if counts && how.leased && how.in_turn => {}
                _ => return None,
            }
            match seat.stage {
                SeatStage::Serves { turn_ends, .. } => turn_ends.checked_sub(now.shared),
                _ => None,
            }
        })
    }

    /// The peers that have asked earlier for some of this, and how much is kept for each.
    pub(super) fn before(
        &self,
        since: u64,
        resource: &Resource,
        now: &Moment,
    ) -> impl Iterator<Item = (String, u64)> {
        let fresh = self.peers.iter().map(|(_, seat)| seat);
        let fresh = fresh.filter(|seat| is_fresh(seat, now.shared));
        let earlier = fresh.filter(move |seat| match seat.stage {
            SeatStage::Waits {
                since: it,
                is_polite,
                ..
            } => !is_polite && it < since,
            _ => false,
        });
        let wanted = earlier.map(|seat| (seat.holder(), amount(seat, resource)));
        wanted.filter(|(_, amount)| *amount > 0)
    }

    /// What peers have now, and wait for, of these resources.
    pub(super) fn add_to(&mut self, usage: &mut BTreeMap<String, Usage>) {
        if usage.is_empty() {
            return;
        }
        for seat in self.seats.look() {
            for (name, amount) in &seat.needs {
                let Some(usage) = usage.get_mut(name) else {
                    continue;
                };
                let list = match seat.stage {
                    SeatStage::Waits { .. } => &mut usage.waiting,
                    _ => &mut usage.holders,
                };
                list.push((seat.holder(), Amount::new(*amount)));
            }
        }
    }
}

impl State {
    /// Meets the programs that share resources with this one, if there is something to decide with them.
    pub(super) fn meet(&mut self) -> Meeting {
        let mut entries = self.entries.values();
        let is_needed = entries.any(|entry| entry.wants_room() || entry.is_contended);
        let mut meeting = if is_needed {
            self.between.seats.meet()
        } else {
            self.between.seats.rest();
            Meeting::Alone
        };
        self.between.is_undecided = !meeting.may_decide();
        if meeting.may_decide() {
            self.between.met_at = Some(Instant::now());
        }
        match &mut meeting {
            Meeting::Held(_, peers) => self.between.peers = mem::take(peers),
            Meeting::Alone => self.between.peers.clear(),
            Meeting::Busy => {}
        }
        meeting
    }

    pub(super) fn has_met_within(&self, time: Duration) -> bool {
        let met_at = self.between.met_at;
        met_at.is_some_and(|at| at.elapsed() < time)
    }

    pub(super) fn wants_room(&self, id: Id) -> bool {
        self.entries.get(&id).is_some_and(Entry::wants_room)
    }

    /// Writes down how the services of this program stand, before the other programs may decide again.
    pub(super) fn tell_peers(&mut self, meeting: &Meeting, plan: &Plan, now: &Moment) {
        let contested = plan.contested.iter().filter(|id| *id & PEER != 0);
        let numbers = contested.filter_map(|id| u16::try_from(id & !PEER).ok());
        self.between.contested = numbers.collect();
        if !matches!(meeting, Meeting::Held(..)) {
            return;
        }
        let ids: Vec<_> = self.entries.keys().copied().collect();
        for id in ids {
            if let Some(seat) = self.seat(id, now) {
                self.between.seats.write(id, seat);
            }
        }
    }

    /// What this program says of the service; `None` for nothing.
    fn seat(&self, id: Id, now: &Moment) -> Option<Seat> {
        let entry = self.entries.get(&id)?;
        if !entry.wants_room() && !entry.has_room() {
            return None;
        }
        let capacities = entry.needs.keys().filter_map(|name| {
            let capacity = self.capacity(name)?;
            Some((name.clone(), capacity.get()))
        });
        let needs = entry.needs.iter();
        let seat = Seat {
            pid: process::id(),
            name: entry.name.clone(),
            fresh_until: now.shared.saturating_add(FRESH),
            is_pinned: entry.is_pinned,
            stage: entry.seat_stage(now, self.between.worth(id, now)),
            instance: entry.server.instance(),
            needs: needs.map(|(name, it)| (name.clone(), it.get())).collect(),
            capacities: capacities.collect(),
        };
        // Not written with each look, if nothing else has changed.
        let written = self.between.seats.written(id);
        let lasts = written.filter(|it| it.fresh_until >= now.shared.saturating_add(FRESH / 2));
        Some(match lasts {
            Some(written) => {
                let same = Seat {
                    fresh_until: written.fresh_until,
                    ..seat.clone()
                };
                if same == *written { same } else { seat }
            }
            None => seat,
        })
    }
}

impl Entry {
    fn seat_stage(&self, now: &Moment, worth: Option<Duration>) -> SeatStage {
        if !self.has_room() {
            let (is_polite, impatient_at) = self.manner();
            return SeatStage::Waits {
                since: self.waits.unwrap_or_default(),
                is_polite,
                impatient_at: impatient_at.map(|at| now.shared(at)),
            };
        }
        match self.stage(now.here, false) {
            Stage::Starting { wanted } => SeatStage::Starts { is_wanted: wanted },
            Stage::Leaving => SeatStage::Leaves,
            Stage::Ready(how) => {
                let ends = |at: Option<_>| at.map_or(Duration::ZERO, |at| now.shared(at));
                SeatStage::Serves {
                    is_in_use: how.leased,
                    is_closed: how.closed,
                    worth: worth.unwrap_or_else(|| self.worth(now)),
                    turn_ends: ends(self.turn_ends()),
                    linger_ends: ends(self.linger_ends()),
                }
            }
        }
    }
}

fn is_fresh(seat: &Seat, now: Duration) -> bool {
    seat.fresh_until >= now
}

/// `None` for a service that has nothing.
fn stage(seat: &Seat, now: Duration) -> Option<Stage> {
    let is_fresh = is_fresh(seat, now);
    Some(match seat.stage {
        SeatStage::Waits { .. } => return None,
        SeatStage::Leaves => Stage::Leaving,
        SeatStage::Starts { is_wanted } => Stage::Starting {
            wanted: is_wanted || !is_fresh,
        },
        // Whether it is in use is not known: it is left alone until its program says so.
        SeatStage::Serves { .. } if !is_fresh => Stage::Starting { wanted: true },
        SeatStage::Serves {
            is_in_use,
            is_closed,
            turn_ends,
            linger_ends,
            ..
        } => {
            let in_turn = now < turn_ends;
            Stage::Ready(Use {
                leased: is_in_use,
                in_turn,
                lingers: !is_in_use && in_turn && now < linger_ends,
                closed: is_closed,
            })
        }
    })
}

fn amount(seat: &Seat, resource: &Resource) -> u64 {
    match resource {
        // Of those, programs have files of their own.
        Resource::Address(_) => 0,
        Resource::Named(name) => seat.needs.get(name).copied().unwrap_or_default(),
    }
}

fn amounts(seat: &Seat, resources: &[Resource]) -> Amounts {
    resources.iter().map(|it| amount(seat, it)).collect()
}
