//! Every order of events, and the mutants that this search has to find.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
};

use super::{
    super::{Holder, Plan, Stage, Use, Waiter, plan},
    world::{Bounds, CAPACITY, Step, Violation, World, all_needs},
};

/// All evils, one of each.
const ALL: Bounds = Bounds {
    needs: [[0; 2]; 3],
    pinned: None,
    clients: 2,
    asks: 2,
    fails: 1,
    idles: 1,
    cancels: 1,
    turns: true,
    two_moments: false,
    decide: plan,
};

/// No evil but that clients ask, hold and lose their patience.
const PEACE: Bounds = Bounds {
    fails: 0,
    idles: 0,
    cancels: 0,
    turns: false,
    ..ALL
};

struct Found {
    violation: Violation,
    path: Vec<String>,
}

/// Visits every state; says how many there are.
fn explore(bounds: &Bounds) -> Result<usize, Found> {
    let start = World::new(bounds);
    let mut graph = Graph::default();
    graph.number(&start, 0, None);
    let mut queue = VecDeque::from([start]);
    let mut steps = Vec::new();
    for from in 0.. {
        let Some(world) = queue.pop_front() else {
            break;
        };
        world.steps(bounds, &mut steps);
        let mut rests = true;
        for &step in &steps {
            let mut next = world;
            let taken = next.take(step, bounds);
            if let Err(violation) = taken.and_then(|()| next.promises(bounds)) {
                return Err(graph.found(violation, from, Some(step)));
            }
            let (to, is_new) = graph.number(&next, from, Some(step));
            if is_new {
                queue.push_back(next);
            }
            if step.comes_by_itself(&world) {
                rests = false;
                graph.by_itself[from as usize].push(to);
            }
        }
        if rests
            && world.is_waited_for()
            && let Err(violation) = world.may_rest(&steps, bounds)
        {
            return Err(graph.found(violation, from, None));
        }
    }
    match graph.circle() {
        Some(state) => Err(graph.found("livelock: it swaps without end", state, None)),
        None => Ok(graph.from.len()),
    }
}

#[derive(Default)]
struct Graph {
    numbers: HashMap<u64, u32, BuildHasherDefault<Fold>>,
    from: Vec<(u32, Option<Step>)>,
    /// Steps that come by themselves.
    by_itself: Vec<Vec<u32>>,
}

impl Graph {
    fn number(&mut self, world: &World, from: u32, step: Option<Step>) -> (u32, bool) {
        let next = u32::try_from(self.from.len()).unwrap();
        let number = *self.numbers.entry(world.key()).or_insert(next);
        if number == next {
            self.from.push((from, step));
            self.by_itself.push(Vec::new());
        }
        (number, number == next)
    }

    fn found(&self, violation: Violation, mut state: u32, step: Option<Step>) -> Found {
        let mut path: Vec<_> = step.iter().map(|step| format!("{step:?}")).collect();
        while let (from, Some(step)) = self.from[state as usize] {
            path.push(format!("{step:?}"));
            state = from;
        }
        path.reverse();
        Found { violation, path }
    }

    /// A state that comes again by itself.
    fn circle(&self) -> Option<u32> {
        let mut before = vec![0_u32; self.by_itself.len()];
        self.by_itself
            .iter()
            .flatten()
            .for_each(|&to| before[to as usize] += 1);
        let states = 0..u32::try_from(before.len()).unwrap();
        let mut free: Vec<_> = states
            .clone()
            .filter(|&it| before[it as usize] == 0)
            .collect();
        while let Some(state) = free.pop() {
            for &to in &self.by_itself[state as usize] {
                before[to as usize] -= 1;
                if before[to as usize] == 0 {
                    free.push(to);
                }
            }
        }
        states.into_iter().find(|&it| before[it as usize] > 0)
    }
}

/// The keys are numbers already: in a debug build, the standard hasher takes most of the time.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers")
    }

    fn write_u64(&mut self, key: u64) {
        let mixed = (key ^ key >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// Explores these, each `nth` set of needs; the number of states shows that something happens.
fn keeps_all_promises(bounds: &Bounds, nth: usize, at_least: usize) {
    let mut states = 0;
    for needs in all_needs().into_iter().step_by(nth) {
        match explore(&Bounds { needs, ..*bounds }) {
            Ok(number) => states += number,
            Err(Found { violation, path }) => {
                panic!("{needs:?}: {violation}: {}", path.join(" "))
            }
        }
    }
    assert!(states > at_least, "{states}");
}

// === What `cargo test` has time for ===

#[test]
fn with_all_evils_no_promise_is_broken() {
    keeps_all_promises(&Bounds { asks: 1, ..ALL }, 3, 10_000);
    keeps_all_promises(&ALL, 40, 10_000);
}

#[test]
fn with_requests_that_come_again_no_promise_is_broken() {
    keeps_all_promises(&PEACE, 7, 10_000);
}

#[test]
fn with_a_pinned_service_no_promise_is_broken() {
    let bounds = Bounds {
        pinned: Some(1),
        asks: 1,
        ..ALL
    };
    keeps_all_promises(&bounds, 7, 5_000);
}

#[test]
fn with_the_address_first_and_the_room_later_no_promise_is_broken() {
    let bounds = Bounds {
        two_moments: true,
        asks: 1,
        ..ALL
    };
    keeps_all_promises(&bounds, 5, 10_000);
}

// === In full ===

#[test]
#[ignore = "takes minutes"]
fn in_full_no_promise_is_broken() {
    keeps_all_promises(&ALL, 1, 1_000_000);
    keeps_all_promises(&Bounds { asks: 3, ..PEACE }, 1, 100_000);
    for pinned in 0..3 {
        let pinned = Some(pinned);
        keeps_all_promises(&Bounds { pinned, ..ALL }, 1, 1_000_000);
    }
    let clients = 3;
    keeps_all_promises(&Bounds { clients, ..PEACE }, 6, 100_000);
}

#[test]
#[ignore = "takes minutes"]
fn in_full_with_the_address_first_no_promise_is_broken() {
    let bounds = Bounds {
        two_moments: true,
        ..ALL
    };
    keeps_all_promises(&bounds, 1, 1_000_000);
    for pinned in 0..3 {
        let pinned = Some(pinned);
        keeps_all_promises(&Bounds { pinned, ..bounds }, 1, 1_000_000);
    }
}

// === Mutants: what a wrong rule would decide ===

/// One of them is found to break this promise by some set of needs.
fn is_found(decide: fn(&[u64], &[Holder], &[Waiter]) -> Plan, violation: Violation) {
    let clients = 3;
    let bounds = Bounds {
        decide,
        clients,
        asks: 1,
        ..PEACE
    };
    let mut sets = all_needs().into_iter();
    let found = sets.find_map(|needs| explore(&Bounds { needs, ..bounds }).err());
    assert_eq!(found.map(|it| it.violation), Some(violation));
}

fn is_idle(holder: &Holder) -> bool {
    let ready = matches!(holder.stage, Stage::Ready(how) if !how.leased);
    ready && !holder.is_pinned
}

/// Idle services leave although that does not suffice.
fn evicts_in_vain(capacity: &[u64], holders: &[Holder], waiters: &[Waiter]) -> Plan {
    let mut decided = plan(capacity, holders, waiters);
    let asked = [&decided.leave, &decided.close, &decided.grant];
    if !waiters.is_empty() && asked.iter().all(|it| it.is_empty()) {
        let idle = holders.iter().filter(|it| is_idle(it));
        decided.leave = idle.map(|it| it.id).collect();
    }
    decided
}

#[test]
fn a_stop_that_does_not_suffice_is_found() {
    is_found(evicts_in_vain, "stopped in vain");
}

/// With those that have to, the other idle services leave.
fn does_not_prune(capacity: &[u64], holders: &[Holder], waiters: &[Waiter]) -> Plan {
    let mut decided = plan(capacity, holders, waiters);
    if !decided.leave.is_empty() {
        let idle = holders.iter().filter(|it| is_idle(it));
        decided.leave = idle.map(|it| it.id).collect();
    }
    decided
}

#[test]
fn a_stop_that_is_not_needed_is_found() {
    is_found(does_not_prune, "stopped in vain");
}

/// Each waiting service is judged as if it were the only one.
fn does_not_reserve(capacity: &[u64], holders: &[Holder], waiters: &[Waiter]) -> Plan {
    let mut decided = plan(capacity, holders, waiters);
    for waiter in waiters {
        let alone = plan(capacity, holders, std::slice::from_ref(waiter));
        if decided.grant.is_empty() {
            decided.grant = alone.grant;
        }
    }
    decided
}

#[test]
fn room_without_a_reservation_is_found() {
    is_found(does_not_reserve, "overtaken");
}

/// Idle services leave before those in use have become idle.
fn stops_idle_ones_first(capacity: &[u64], holders: &[Holder], waiters: &[Waiter]) -> Plan {
    let mut decided = plan(capacity, holders, waiters);
    let mut all_idle = holders.to_vec();
    for holder in &mut all_idle {
        if let Stage::Ready(how) = &mut holder.stage {
            *how = Use::default();
        }
    }
    let early = plan(capacity, &all_idle, waiters).leave;
    let idle = holders.iter().filter(|it| is_idle(it));
    let idle = idle.map(|it| it.id).filter(|it| early.contains(it));
    if decided.leave.is_empty() {
        decided.leave = idle.collect();
    }
    decided
}

#[test]
fn idle_services_that_leave_before_the_others_are_found() {
    is_found(stops_idle_ones_first, "stopped in vain");
}

/// A start is stopped for another service although requests wait for it.
fn disturbs_starts(capacity: &[u64], holders: &[Holder], waiters: &[Waiter]) -> Plan {
    let mut unwanted = holders.to_vec();
    for holder in &mut unwanted {
        if let Stage::Starting { wanted } = &mut holder.stage {
            *wanted = false;
        }
    }
    plan(capacity, &unwanted, waiters)
}

#[test]
fn a_start_that_is_stopped_for_another_is_found() {
    is_found(disturbs_starts, "stopped in use");
}

/// More is given out than there is.
fn overcommits(capacity: &[u64], holders: &[Holder], waiters: &[Waiter]) -> Plan {
    let more: Vec<_> = capacity.iter().map(|it| it + 1).collect();
    plan(&more, holders, waiters)
}

#[test]
fn more_than_there_is_is_found() {
    is_found(overcommits, "more is used than there is");
}

/// A service that is asked to close, and is idle at last, is not asked to leave.
fn forgets_the_closed(capacity: &[u64], holders: &[Holder], waiters: &[Waiter]) -> Plan {
    let mut decided = plan(capacity, holders, waiters);
    let is_closed = |holder: &&Holder| matches!(holder.stage, Stage::Ready(how) if how.closed);
    let mut closed = holders.iter().filter(is_closed).map(|it| it.id);
    if closed.any(|it| decided.leave.contains(&it)) {
        decided.close = std::mem::take(&mut decided.leave);
    }
    decided
}

#[test]
fn a_service_that_never_leaves_is_found() {
    is_found(forgets_the_closed, "deadlock: no caller holds anything");
}

#[test]
fn every_set_of_needs_is_there_once() {
    let all = all_needs();
    assert_eq!(all.len(), 120);
    assert!(all.iter().flatten().flatten().all(|it| *it <= CAPACITY[0]));
}
