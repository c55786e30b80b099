//! Three services, two resources, and clients that ask, hold, wait and leave.

use std::time::Duration;

use super::super::{Holder, Id, Plan, Stage, Use, Waiter};

pub(super) const SERVICES: usize = 3;
pub(super) const RESOURCES: usize = 2;
const CLIENTS: usize = 3;

pub(super) type Decide = fn(&[u64], &[Holder], &[Waiter]) -> Plan;
pub(super) type Needs = [[u64; RESOURCES]; SERVICES];

/// What there is of each resource.
pub(super) const CAPACITY: [u64; RESOURCES] = [2, 2];

/// How much of each evil there may be on one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) needs: Needs,
    pub(super) pinned: Option<usize>,
    pub(super) clients: usize,
    pub(super) asks: u8,
    pub(super) fails: u8,
    pub(super) idles: u8,
    pub(super) cancels: u8,
    pub(super) turns: bool,
    /// The first resource is the address: it is claimed first, and the other one after a look.
    pub(super) two_moments: bool,
    pub(super) decide: Decide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Stopped,
    Queued,
    /// It has the address.
    Looking,
    /// It has the address, and waits for the other resource.
    Room,
    Starting,
    Ready,
    Leaving,
}

#[derive(Clone, Copy, Debug, Default)]
struct Client {
    holds: [bool; SERVICES],
    waits: Option<usize>,
    asks: u8,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    states: [State; SERVICES],
    /// What the last plan says, …
    close: [bool; SERVICES],
    /// … and what the service has heard of it.
    closed: [bool; SERVICES],
    in_turn: [bool; SERVICES],
    lingers: [bool; SERVICES],
    queue: [Option<usize>; SERVICES],
    /// The least recently used first.
    used: [usize; SERVICES],
    clients: [Client; CLIENTS],
    fails: u8,
    idles: u8,
    cancels: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Ask(usize, usize),
    GiveBack(usize, usize),
    Cancel(usize),
    TimeOut(usize),
    Looked(usize),
    StartEnds(usize),
    StartFails(usize),
    Hear(usize),
    Gone(usize),
    IdleStop(usize),
    TurnEnds(usize),
    LingerEnds(usize),
}

impl Step {
    /// Whether it comes without a new request and without a caller that loses its patience.
    pub(super) fn comes_by_itself(self, world: &World) -> bool {
        match self {
            Self::Ask(..)
            | Self::Cancel(_)
            | Self::TimeOut(_)
            | Self::StartFails(_)
            | Self::IdleStop(_) => false,
            // A client that waits may well hold its leases meanwhile.
            Self::GiveBack(client, _) => world.clients[client].waits.is_none(),
            _ => true,
        }
    }
}

pub(super) type Violation = &'static str;

impl World {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let client = |index| Client {
            asks: if index < bounds.clients {
                bounds.asks
            } else {
                0
            },
            ..Client::default()
        };
        Self {
            states: [State::Stopped; SERVICES],
            close: [false; SERVICES],
            closed: [false; SERVICES],
            in_turn: [false; SERVICES],
            lingers: [false; SERVICES],
            queue: [None; SERVICES],
            used: std::array::from_fn(|it| it),
            clients: std::array::from_fn(client),
            fails: bounds.fails,
            idles: bounds.idles,
            cancels: bounds.cancels,
        }
    }

    /// All of it, in one number.
    pub(super) fn key(&self) -> u64 {
        let mut key = 1;
        let mut push = |value: u64, bits: u32| key = key << bits | value;
        for service in 0..SERVICES {
            push(self.states[service] as u64, 3);
            push(self.close[service].into(), 1);
            push(self.closed[service].into(), 1);
            push(self.in_turn[service].into(), 1);
            push(self.lingers[service].into(), 1);
            push(self.queue[service].unwrap_or(SERVICES) as u64, 2);
            push(self.used[service] as u64, 2);
        }
        for client in &self.clients {
            client.holds.iter().for_each(|&it| push(it.into(), 1));
            push(client.waits.unwrap_or(SERVICES) as u64, 2);
            push(client.asks.into(), 2);
        }
        push(self.fails.into(), 1);
        push(self.idles.into(), 1);
        push(self.cancels.into(), 1);
        key
    }

    fn leases(&self, service: usize) -> usize {
        self.clients.iter().filter(|it| it.holds[service]).count()
    }

    fn waiters(&self, service: usize) -> usize {
        let waits = |client: &&Client| client.waits == Some(service);
        self.clients.iter().filter(waits).count()
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.clients.iter().any(|it| it.waits.is_some())
    }

    fn queued(&self) -> impl Iterator<Item = usize> {
        self.queue.iter().copied().flatten()
    }

    fn has(&self, service: usize, bounds: &Bounds) -> [u64; RESOURCES] {
        let needs = bounds.needs[service];
        match self.states[service] {
            State::Stopped | State::Queued => [0; RESOURCES],
            State::Looking | State::Room => [needs[0], 0],
            State::Starting | State::Ready | State::Leaving => needs,
        }
    }

    fn wants(&self, service: usize, bounds: &Bounds) -> [u64; RESOURCES] {
        let needs = bounds.needs[service];
        match self.states[service] {
            State::Queued if bounds.two_moments => [needs[0], 0],
            State::Queued => needs,
            State::Room => [0, needs[1]],
            _ => [0; RESOURCES],
        }
    }

    fn holder(&self, service: usize, bounds: &Bounds) -> Holder {
        let position = self.used.iter().position(|&it| it == service);
        Holder {
            id: service as Id,
            has: self.has(service, bounds).to_vec(),
            stage: match self.states[service] {
                State::Ready => Stage::Ready(Use {
                    leased: self.leases(service) > 0,
                    in_turn: self.in_turn[service],
                    lingers: self.lingers[service],
                    closed: self.close[service],
                }),
                State::Leaving => Stage::Leaving,
                _ => Stage::Starting {
                    wanted: self.waiters(service) > 0,
                },
            },
            is_pinned: bounds.pinned == Some(service),
            worth: Duration::from_secs(position.unwrap() as u64),
        }
    }

    fn plan(&self, bounds: &Bounds) -> Plan {
        let is_holder = |&it: &usize| self.states[it] >= State::Looking;
        let holders = (0..SERVICES).filter(is_holder);
        let holders: Vec<_> = holders.map(|it| self.holder(it, bounds)).collect();
        let waiters = self.queued().map(|it| Waiter {
            id: it as Id,
            needs: self.wants(it, bounds).to_vec(),
            is_polite: false,
            is_impatient: false,
        });
        (bounds.decide)(&CAPACITY, &holders, &waiters.collect::<Vec<_>>())
    }

    /// Does what the plan says, until it says nothing new.
    fn replan(&mut self, bounds: &Bounds) -> Result<(), Violation> {
        loop {
            let plan = self.plan(bounds);
            for service in services(&plan.no_room) {
                self.fail(service);
            }
            for service in services(&plan.grant) {
                self.is_not_overtaking(service, &plan, bounds)?;
                self.dequeue(service);
                self.states[service] =
                    if bounds.two_moments && self.states[service] == State::Queued {
                        State::Looking
                    } else {
                        State::Starting
                    };
            }
            for service in services(&plan.leave) {
                self.is_not_needless(service, &plan.leave, bounds)?;
                self.leave(service);
            }
            if plan.no_room.is_empty() && plan.grant.is_empty() && plan.leave.is_empty() {
                let close = &plan.close;
                self.close = std::array::from_fn(|it| close.contains(&(it as Id)));
                return Ok(());
            }
        }
    }

    /// What comes earlier does not have to wait for what is granted later.
    fn is_not_overtaking(
        &self,
        granted: usize,
        plan: &Plan,
        bounds: &Bounds,
    ) -> Result<(), Violation> {
        let fits = |waiter: usize, beside: Option<usize>| {
            (0..RESOURCES).all(|at| {
                let stays = |&it: &usize| {
                    let starts = (State::Looking..State::Ready).contains(&self.states[it]);
                    starts || bounds.pinned == Some(it)
                };
                let taken = (0..SERVICES).filter(stays);
                let taken: u64 = taken.map(|it| self.has(it, bounds)[at]).sum();
                let taken = taken + beside.map_or(0, |it| self.wants(it, bounds)[at]);
                let needs = self.wants(waiter, bounds)[at];
                needs == 0 || needs + taken <= CAPACITY[at]
            })
        };
        let mut before = self.queued().take_while(|&it| it != granted);
        let is_overtaken = |waiter: usize| {
            let granted_too = plan.grant.contains(&(waiter as Id));
            !granted_too && fits(waiter, None) && !fits(waiter, Some(granted))
        };
        ensure(!before.any(is_overtaken), "overtaken")
    }

    /// With all of these gone some waiting service has room, and without this one it has not.
    fn is_not_needless(
        &self,
        service: usize,
        all: &[Id],
        bounds: &Bounds,
    ) -> Result<(), Violation> {
        let may_leave = match self.states[service] {
            State::Ready => self.leases(service) == 0,
            State::Looking | State::Starting => self.waiters(service) == 0,
            _ => false,
        };
        ensure(
            may_leave && bounds.pinned != Some(service),
            "stopped in use",
        )?;
        let room = |but: Option<usize>| -> [u64; RESOURCES] {
            std::array::from_fn(|at| {
                let stays = |&it: &usize| {
                    let leaves = self.states[it] == State::Leaving;
                    !leaves && (!all.contains(&(it as Id)) || but == Some(it))
                };
                let taken = (0..SERVICES).filter(stays);
                let taken: u64 = taken.map(|it| self.has(it, bounds)[at]).sum();
                CAPACITY[at].saturating_sub(taken)
            })
        };
        let fits = |needs: [u64; RESOURCES], room: [u64; RESOURCES]| {
            needs.iter().zip(room).all(|(&need, room)| need <= room)
        };
        let (with, without) = (room(None), room(Some(service)));
        let gains = |waiter: usize| {
            let needs = self.wants(waiter, bounds);
            fits(needs, with) && !fits(needs, without)
        };
        // Several that wait may need it together.
        let wants = self.queued().map(|it| self.wants(it, bounds));
        let together = wants.fold([0; RESOURCES], |sum: [u64; RESOURCES], it| {
            std::array::from_fn(|at| sum[at] + it[at])
        });
        let several = self.queued().count() > 1;
        let has_some = |at: usize| self.has(service, bounds)[at] > 0 && together[at] > without[at];
        let needed = self.queued().any(gains) || several && (0..RESOURCES).any(has_some);
        ensure(needed, "stopped in vain")
    }

    fn enqueue(&mut self, service: usize, state: State) {
        self.states[service] = state;
        let free = self.queue.iter_mut().find(|it| it.is_none());
        *free.unwrap() = Some(service);
    }

    fn dequeue(&mut self, service: usize) {
        let left: Vec<_> = self.queued().filter(|&it| it != service).collect();
        self.queue = std::array::from_fn(|at| left.get(at).copied());
    }

    /// Its callers get an error, and it has nothing any more.
    fn fail(&mut self, service: usize) {
        for client in &mut self.clients {
            client.waits = client.waits.filter(|&it| it != service);
        }
        self.dequeue(service);
        self.states[service] = State::Stopped;
    }

    fn leave(&mut self, service: usize) {
        self.states[service] = match self.states[service] {
            // Nothing was started.
            State::Looking => State::Stopped,
            _ => State::Leaving,
        };
        self.closed[service] = false;
        self.in_turn[service] = false;
        self.lingers[service] = false;
    }

    fn grant_waiters(&mut self, service: usize) {
        for client in &mut self.clients {
            if client.waits == Some(service) {
                client.waits = None;
                client.holds[service] = true;
            }
        }
    }

    fn used_now(&mut self, service: usize) {
        let at = self.used.iter().position(|&it| it == service).unwrap();
        self.used[at..].rotate_left(1);
    }

    pub(super) fn steps(&self, bounds: &Bounds, steps: &mut Vec<Step>) {
        steps.clear();
        for (index, client) in self.clients.iter().enumerate() {
            let held = client.holds.iter().filter(|&&it| it).count();
            if let Some(service) = client.waits {
                if self.cancels > 0 {
                    steps.push(Step::Cancel(index));
                }
                if matches!(self.states[service], State::Queued | State::Room) {
                    steps.push(Step::TimeOut(index));
                }
                continue;
            }
            for service in 0..SERVICES {
                if client.holds[service] {
                    steps.push(Step::GiveBack(index, service));
                } else if client.asks > 0 && held < 2 {
                    steps.push(Step::Ask(index, service));
                }
            }
        }
        for service in 0..SERVICES {
            self.service_steps(service, bounds, steps);
        }
    }

    fn service_steps(&self, service: usize, bounds: &Bounds, steps: &mut Vec<Step>) {
        let mut add = |applies: bool, step| {
            if applies {
                steps.push(step);
            }
        };
        match self.states[service] {
            State::Looking => add(true, Step::Looked(service)),
            State::Starting => {
                add(true, Step::StartEnds(service));
                add(self.fails > 0, Step::StartFails(service));
            }
            State::Ready => {
                let news = self.close[service] != self.closed[service];
                add(news, Step::Hear(service));
                add(self.in_turn[service], Step::TurnEnds(service));
                add(self.lingers[service], Step::LingerEnds(service));
                let is_idle = self.leases(service) == 0 && bounds.pinned != Some(service);
                add(self.idles > 0 && is_idle, Step::IdleStop(service));
            }
            State::Leaving => add(true, Step::Gone(service)),
            State::Stopped | State::Queued | State::Room => {}
        }
    }

    pub(super) fn take(&mut self, step: Step, bounds: &Bounds) -> Result<(), Violation> {
        match step {
            Step::Ask(client, service) => {
                self.clients[client].asks -= 1;
                if self.states[service] == State::Ready && !self.closed[service] {
                    // A warm request tells nobody.
                    self.clients[client].holds[service] = true;
                    self.lingers[service] = false;
                    return Ok(());
                }
                self.clients[client].waits = Some(service);
                if self.states[service] == State::Stopped {
                    self.enqueue(service, State::Queued);
                }
            }
            Step::GiveBack(client, service) => {
                self.clients[client].holds[service] = false;
                if self.leases(service) > 0 {
                    return Ok(());
                }
                self.lingers[service] = self.in_turn[service];
                self.used_now(service);
            }
            Step::Cancel(client) | Step::TimeOut(client) => {
                self.cancels -= u8::from(step == Step::Cancel(client));
                self.gives_up(client);
            }
            Step::Looked(service) if self.waiters(service) > 0 => {
                self.enqueue(service, State::Room);
            }
            Step::Looked(service) => self.states[service] = State::Stopped,
            Step::StartEnds(service) => self.is_ready(service, bounds.turns),
            Step::StartFails(service) => {
                self.fails -= 1;
                self.fail(service);
                self.states[service] = State::Leaving;
            }
            Step::Hear(service) => {
                self.closed[service] = self.close[service];
                if !self.closed[service] {
                    self.grant_waiters(service);
                }
            }
            Step::Gone(service) => {
                self.states[service] = State::Stopped;
                if self.waiters(service) > 0 {
                    self.enqueue(service, State::Queued);
                }
            }
            Step::IdleStop(service) => {
                self.idles -= 1;
                self.leave(service);
            }
            Step::TurnEnds(service) => {
                self.in_turn[service] = false;
                self.lingers[service] = false;
            }
            Step::LingerEnds(service) => self.lingers[service] = false,
        }
        self.replan(bounds)
    }

    fn is_ready(&mut self, service: usize, in_turn: bool) {
        self.states[service] = State::Ready;
        self.in_turn[service] = in_turn;
        self.grant_waiters(service);
        self.used_now(service);
    }

    fn gives_up(&mut self, client: usize) {
        let Some(service) = self.clients[client].waits.take() else {
            return;
        };
        let waits = matches!(self.states[service], State::Queued | State::Room);
        if waits && self.waiters(service) == 0 {
            self.fail(service);
        }
    }

    /// What holds at any time.
    pub(super) fn promises(&self, bounds: &Bounds) -> Result<(), Violation> {
        for (at, capacity) in CAPACITY.iter().enumerate() {
            let used: u64 = (0..SERVICES).map(|it| self.has(it, bounds)[at]).sum();
            ensure(used <= *capacity, "more is used than there is")?;
        }
        for service in 0..SERVICES {
            let state = self.states[service];
            let (leases, waiters) = (self.leases(service), self.waiters(service));
            ensure(leases == 0 || state == State::Ready, "a lease was cut")?;
            let forgotten = waiters > 0 && state == State::Stopped;
            ensure(!forgotten, "a caller was forgotten")?;
            let is_open = state == State::Ready && !self.closed[service];
            ensure(
                !is_open || waiters == 0,
                "a caller waits for an open server",
            )?;
        }
        Ok(())
    }

    /// Nothing comes by itself any more, and a caller waits: only because of what waiting callers hold themselves,
    /// and a time-out ends it.
    pub(super) fn may_rest(&self, steps: &[Step], bounds: &Bounds) -> Result<(), Violation> {
        let mut waiting = self.clients.iter().filter(|it| it.waits.is_some());
        let holds = waiting.any(|it| it.holds.contains(&true));
        ensure(holds, "deadlock: no caller holds anything")?;
        let timed = steps.iter().any(|step| matches!(step, Step::TimeOut(_)));
        ensure(timed, "deadlock: no time-out ends it")?;
        let first = self.queued().next().ok_or("nothing waits for room")?;
        let stays = |&it: &usize| {
            let starts = (State::Looking..State::Ready).contains(&self.states[it]);
            self.leases(it) > 0 || bounds.pinned == Some(it) || starts
        };
        let is_blocked = |at: usize| {
            let taken = (0..SERVICES).filter(stays);
            let taken: u64 = taken.map(|it| self.has(it, bounds)[at]).sum();
            let needs = self.wants(first, bounds)[at];
            needs > 0 && needs + taken > CAPACITY[at]
        };
        ensure((0..RESOURCES).any(is_blocked), "the first could be served")
    }
}

fn services(ids: &[Id]) -> Vec<usize> {
    ids.iter().map(|&it| usize::try_from(it).unwrap()).collect()
}

fn ensure(holds: bool, violation: Violation) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation) }
}

/// Of each resource some, none or all, but something: each set of three such services once.
pub(super) fn all_needs() -> Vec<Needs> {
    let amounts: Vec<[u64; RESOURCES]> = (1..9).map(|it| [it / 3, it % 3]).collect();
    let mut all = Vec::new();
    for (at, one) in amounts.iter().enumerate() {
        for (beside, other) in amounts.iter().enumerate().skip(at) {
            all.extend(amounts[beside..].iter().map(|third| [*one, *other, *third]));
        }
    }
    all
}
