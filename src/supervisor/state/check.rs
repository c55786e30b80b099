//! The machine against every order of events: breadth-first over its states and an environment
//! that does its worst, with the lease word as it is and the driver's promises as a model.

use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use super::{Action, Ask, Claim, End, Event, Exited, Leases, Reason, Stage, State, Time};
use crate::{
    config::Policy,
    probe::Sight,
    status::Origin,
    supervisor::word::{Outcome, Word},
};

const MS: Duration = Duration::from_millis(1);
/// After every step the clock is set back to this, so that states that differ by their age alone
/// are one.
const NOW: Time = Duration::from_secs(100);
/// What is longer ago than all durations of the policy is simply past.
const LONG_AGO: Time = Duration::from_millis(99_900);

/// How much of each evil the environment may do on one path.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) clients: usize,
    pub(crate) rounds: u8,
    pub(crate) crashes: u8,
    pub(crate) strangers: u8,
    pub(crate) rivals: u8,
    pub(crate) stops: u8,
    pub(crate) states: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    Idle,
    /// Its question is on the way; it may give up before it arrives.
    Asking,
    Waiting(u64),
    /// It has given up, which the machine does not know yet.
    Leaving(u64),
    Holding(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Process {
    /// Its leader has ended.
    dead: bool,
    /// … and the machine knows.
    told: bool,
    terminated: bool,
    killed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Endpoint {
    NotOurs,
    Asked,
    Ours { wanted: bool },
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    state: State,
    word: Word,
    clients: Vec<(Client, u8)>,
    process: Option<Process>,
    spawning: bool,
    /// A probe is under way.
    probing: bool,
    endpoint: Endpoint,
    /// The last lease has ended, and the machine does not know yet.
    woken: bool,
    idle_since: Time,
    alive_since: Time,
    stop_waits: bool,
    stop_wanted: bool,
    handles_gone: bool,
    finished: bool,
    crashes: u8,
    strangers: u8,
    rivals: u8,
    stops: u8,
}

/// What the environment does next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Call(usize),
    Deliver(usize),
    GiveUp(usize),
    DeliverLeft(usize),
    End(usize, Outcome),
    Probed(Sight),
    Spawned(bool),
    Crash,
    TellExit { port_taken: bool },
    Gone,
    Claim(Claim),
    Wake,
    Stop,
    HandlesGone,
    Tick,
}

type Violation = String;

fn policy() -> Policy {
    Policy {
        ready_timeout: 40 * MS,
        idle_stop: Some(20 * MS),
        stop_timeout: 10 * MS,
        abandon_grace: Some(10 * MS),
        recheck: 30 * MS,
    }
}

impl World {
    fn new(bounds: &Bounds) -> Self {
        Self {
            state: State::new(policy()),
            word: Word::NEW,
            clients: vec![(Client::Idle, bounds.rounds); bounds.clients],
            process: None,
            spawning: false,
            probing: false,
            endpoint: Endpoint::NotOurs,
            woken: false,
            idle_since: NOW,
            alive_since: NOW,
            stop_waits: false,
            stop_wanted: false,
            handles_gone: false,
            finished: false,
            crashes: bounds.crashes,
            strangers: bounds.strangers,
            rivals: bounds.rivals,
            stops: bounds.stops,
        }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.finished {
            return steps;
        }
        for (index, (client, rounds)) in self.clients.iter().enumerate() {
            match client {
                Client::Idle if *rounds > 0 => steps.push(Step::Call(index)),
                Client::Idle => {}
                Client::Asking => steps.push(Step::Deliver(index)),
                Client::Waiting(_) => steps.push(Step::GiveUp(index)),
                Client::Leaving(_) => steps.push(Step::DeliverLeft(index)),
                Client::Holding(_) => {
                    steps.push(Step::End(index, Outcome::Completed));
                    steps.push(Step::End(index, Outcome::Unanswered));
                }
            }
        }
        self.process_steps(&mut steps);
        self.claim_steps(&mut steps);
        if self.probing {
            steps.extend(self.sights().into_iter().map(Step::Probed));
        }
        if self.woken {
            steps.push(Step::Wake);
        }
        if self.stops > 0 && !self.stop_waits && !self.handles_gone {
            steps.push(Step::Stop);
        }
        let done = |&(client, rounds): &(Client, u8)| client == Client::Idle && rounds == 0;
        if !self.handles_gone && !self.stop_waits && self.clients.iter().all(done) {
            steps.push(Step::HandlesGone);
        }
        if self.state.deadline().is_some() {
            steps.push(Step::Tick);
        }
        steps
    }

    fn process_steps(&self, steps: &mut Vec<Step>) {
        if self.spawning {
            steps.push(Step::Spawned(true));
            if self.crashes > 0 {
                steps.push(Step::Spawned(false));
            }
        }
        let Some(process) = self.process else { return };
        if !process.dead && (self.crashes > 0 || process.terminated || process.killed) {
            steps.push(Step::Crash);
        }
        if process.dead && !process.told {
            steps.push(Step::TellExit { port_taken: false });
            if self.strangers > 0 && !process.terminated {
                steps.push(Step::TellExit { port_taken: true });
            }
        }
        if process.dead && process.told && (process.terminated || process.killed) {
            steps.push(Step::Gone);
        }
    }

    fn claim_steps(&self, steps: &mut Vec<Step>) {
        match self.endpoint {
            Endpoint::NotOurs => {}
            Endpoint::Asked => {
                steps.push(Step::Claim(Claim::Granted));
                if self.rivals > 0 {
                    steps.push(Step::Claim(Claim::Refused));
                }
            }
            Endpoint::Ours { wanted: false } if self.rivals > 0 => {
                steps.push(Step::Claim(Claim::Wanted));
                steps.push(Step::Claim(Claim::Lost));
            }
            Endpoint::Ours { wanted: false } => {}
            Endpoint::Ours { wanted: true } => steps.push(Step::Claim(Claim::Unwanted)),
        }
    }

    /// What a probe may see: with a process of ours anything, without one what others do.
    fn sights(&self) -> Vec<Sight> {
        let mut sights = vec![Sight::Refused];
        match self.process {
            // The driver tells of an exit before it tells of a probe that came later.
            Some(process) if !process.dead => {
                sights.extend([Sight::Wanted, Sight::Silent, Sight::Status(401)]);
            }
            _ => {}
        }
        if self.strangers > 0 {
            let stranger = if self.state.wants_own_listener() && self.process.is_some() {
                Sight::Stranger(1)
            } else {
                Sight::Wanted
            };
            sights.extend([stranger, Sight::Status(503), Sight::Status(404)]);
        }
        sights.dedup();
        sights
    }

    fn take(&mut self, step: &Step) -> Result<(), Violation> {
        let leases = self.word.count();
        match *step {
            Step::Call(index) => self.call(index),
            Step::Deliver(index) => return self.deliver(index),
            Step::GiveUp(index) => {
                if let Client::Waiting(id) = self.clients[index].0 {
                    self.clients[index].0 = Client::Leaving(id);
                }
            }
            Step::DeliverLeft(index) => {
                if let Client::Leaving(waiter) = self.clients[index].0 {
                    self.clients[index].0 = Client::Idle;
                    return self.feed(Event::Left { waiter });
                }
            }
            Step::End(index, outcome) => {
                if let Client::Holding(run) = self.clients[index].0 {
                    self.clients[index].0 = Client::Idle;
                    self.give_back(run, outcome);
                }
            }
            Step::Probed(sight) => {
                self.probing = false;
                self.note_stranger(sight);
                return self.feed(Event::Probed {
                    sight,
                    took: MS,
                    leases,
                });
            }
            Step::Spawned(works) => return self.spawned(works),
            Step::Crash => self.crash(),
            Step::TellExit { port_taken } => return self.tell_exit(port_taken),
            Step::Gone => {
                self.process = None;
                return self.feed(Event::Gone);
            }
            Step::Claim(ref claim) => {
                self.claim(claim);
                return self.feed(Event::Claim(claim.clone()));
            }
            Step::Wake => {
                self.woken = false;
                return self.look();
            }
            Step::Stop => {
                self.stops -= 1;
                self.stop_waits = true;
                self.stop_wanted = true;
                return self.feed(Event::StopAsked);
            }
            Step::HandlesGone => {
                self.handles_gone = true;
                return self.feed(Event::HandlesGone);
            }
            Step::Tick => return self.feed_at(Event::Tick, self.state.deadline()),
        }
        Ok(())
    }

    fn call(&mut self, index: usize) {
        self.clients[index].1 -= 1;
        self.clients[index].0 = match self.word.take() {
            Some(word) => {
                self.word = word;
                Client::Holding(word.run())
            }
            None => Client::Asking,
        };
    }

    fn deliver(&mut self, index: usize) -> Result<(), Violation> {
        // Nobody waits twice at a time, so the client's number will do.
        let waiter = index as u64;
        self.clients[index].0 = Client::Waiting(waiter);
        let swap_timeout = 30 * MS;
        let ask = Ask {
            handle: 0,
            preload: false,
            swap_timeout,
            max_waiters: None,
        };
        let (suspect, leases) = (self.word.is_suspect(), self.word.count());
        self.feed(Event::Asked {
            waiter,
            ask,
            suspect,
            leases,
        })
    }

    fn give_back(&mut self, run: u64, outcome: Outcome) {
        let before = self.word;
        if let Some(word) = before.give_back(run, outcome) {
            self.word = word;
            self.woken |= before.wakes();
            self.idle_since = NOW;
            if outcome > Outcome::Unanswered {
                self.alive_since = NOW;
            }
            if outcome == Outcome::Unanswered && self.word.is_open() {
                self.word = self.word.suspect();
            }
        }
    }

    fn note_stranger(&mut self, sight: Sight) {
        let ours = self.process.is_some_and(|process| !process.dead);
        let evil = match sight {
            Sight::Refused | Sight::Silent => false,
            Sight::Wanted | Sight::Status(401) => !ours,
            _ => true,
        };
        self.strangers = self.strangers.saturating_sub(u8::from(evil));
    }

    fn spawned(&mut self, works: bool) -> Result<(), Violation> {
        self.spawning = false;
        if works {
            self.process = Some(Process {
                dead: false,
                told: false,
                terminated: false,
                killed: false,
            });
            self.feed(Event::Spawned)
        } else {
            self.crashes -= 1;
            self.feed(Event::SpawnFailed { invalid: false })
        }
    }

    fn crash(&mut self) {
        if let Some(process) = &mut self.process {
            process.dead = true;
            if !process.terminated && !process.killed {
                self.crashes -= 1;
            }
        }
    }

    fn tell_exit(&mut self, port_taken: bool) -> Result<(), Violation> {
        if let Some(process) = &mut self.process {
            process.told = true;
        }
        let served = self.word.has_served();
        self.feed(Event::Exited(Exited {
            code: Some(1),
            signal: None,
            served,
            port_taken,
        }))
    }

    fn claim(&mut self, claim: &Claim) {
        self.endpoint = match claim {
            Claim::Granted => Endpoint::Ours { wanted: false },
            Claim::Refused => Endpoint::NotOurs,
            Claim::Wanted | Claim::Lost => Endpoint::Ours { wanted: true },
            Claim::Unwanted => Endpoint::Ours { wanted: false },
        };
        if matches!(claim, Claim::Refused | Claim::Wanted | Claim::Lost) {
            self.rivals -= 1;
        }
    }

    fn look(&mut self) -> Result<(), Violation> {
        self.word = self.word.look();
        let leases = Leases {
            out: self.word.count(),
            idle_since: Time::ZERO,
            alive_since: MS,
        };
        self.feed(Event::Looked(leases))
    }

    fn feed(&mut self, event: Event) -> Result<(), Violation> {
        self.feed_at(event, None)
    }

    /// Time stands still but for ticks.
    fn feed_at(&mut self, event: Event, now: Option<Time>) -> Result<(), Violation> {
        let now = now.unwrap_or(NOW).max(NOW);
        let actions = self.state.on(event, now);
        let elapsed = now.saturating_sub(NOW);
        rebase(&mut self.state, elapsed);
        shift(&mut self.idle_since, elapsed);
        shift(&mut self.alive_since, elapsed);
        for action in actions {
            self.perform(action)?;
        }
        if !self.state.is_probing() {
            self.probing = false;
        }
        Ok(())
    }

    fn perform(&mut self, action: Action) -> Result<(), Violation> {
        match action {
            Action::Claim => {
                ensure(self.endpoint == Endpoint::NotOurs, "claimed twice")?;
                self.endpoint = Endpoint::Asked;
            }
            Action::Release => {
                ensure(
                    self.process.is_none(),
                    "the endpoint of a process was given away",
                )?;
                self.endpoint = Endpoint::NotOurs;
            }
            Action::Probe { .. } => self.probing = true,
            Action::Spawn => {
                ensure(self.process.is_none() && !self.spawning, "two processes")?;
                ensure(
                    matches!(self.endpoint, Endpoint::Ours { .. }),
                    "spawned without a claim",
                )?;
                self.spawning = true;
            }
            Action::Terminate(reason) => self.terminate(reason)?,
            Action::Kill => {
                let process = self.process.as_mut().ok_or("killed nothing")?;
                process.killed = true;
            }
            Action::Open(origin) => self.open(origin)?,
            Action::Reopen(_) => self.word = self.word.reopen(),
            Action::Close => {
                self.word = self.word.close();
                return self.look();
            }
            Action::CloseIfIdle => match self.word.close_if_idle() {
                Some(word) => {
                    self.word = word;
                    return self.feed(Event::Closed);
                }
                None => return self.look(),
            },
            Action::End(end) => self.end(end)?,
            Action::Suspect => self.word = self.word.suspect(),
            Action::Trust => {
                self.word = self.word.trust();
                self.alive_since = NOW;
            }
            Action::Look => return self.look(),
            Action::Grant(waiters) => {
                for waiter in waiters {
                    self.grant(waiter)?;
                }
            }
            Action::Fail(waiters, _) => {
                for waiter in waiters {
                    self.answer(waiter, Client::Idle)?;
                }
            }
            Action::Settled { .. } => {
                self.stop_waits = false;
                self.stop_wanted = false;
            }
            Action::Finish => {
                ensure(
                    self.process.is_none() && !self.spawning,
                    "a process after the end",
                )?;
                self.finished = true;
            }
        }
        Ok(())
    }

    fn terminate(&mut self, reason: Reason) -> Result<(), Violation> {
        let leases = self.holding();
        let process = self.process.as_mut().ok_or("terminated nothing")?;
        process.terminated = true;
        let asked = matches!(reason, Reason::Asked) || self.stop_wanted || process.dead;
        ensure(
            asked || leases == 0 || !self.word_is_theirs(),
            "TERM under a lease",
        )
    }

    fn open(&mut self, origin: Origin) -> Result<(), Violation> {
        ensure(!self.word.is_open(), "opened twice")?;
        let alive = self.process.is_some_and(|process| !process.told);
        ensure(
            alive == (origin == Origin::Owned),
            "ready on somebody else's answer",
        )?;
        ensure(!self.state.wants_own_listener(), "still loading")?;
        self.word = self.word.open();
        self.idle_since = NOW;
        self.alive_since = NOW;
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<(), Violation> {
        ensure(
            end != End::Idle || self.word.count() == 0,
            "idle with a lease out",
        )?;
        self.word = self.word.end();
        self.woken = false;
        Ok(())
    }

    fn grant(&mut self, waiter: u64) -> Result<(), Violation> {
        ensure(self.word.is_open(), "granted while closed")?;
        self.word = self.word.grant();
        let run = self.word.run();
        let left = self
            .clients
            .iter()
            .any(|(client, _)| *client == Client::Leaving(waiter));
        if left {
            // Its answer is dropped, and with it the lease.
            self.give_back(run, Outcome::Completed);
        }
        self.answer(waiter, Client::Holding(run))
    }

    fn answer(&mut self, waiter: u64, with: Client) -> Result<(), Violation> {
        for (client, _) in &mut self.clients {
            if *client == Client::Waiting(waiter) {
                *client = with;
                return Ok(());
            }
            if *client == Client::Leaving(waiter) {
                *client = Client::Idle;
                return Ok(());
            }
        }
        Err(format!("waiter {waiter} was answered twice"))
    }

    fn holding(&self) -> usize {
        let holds = |(client, _): &&(Client, u8)| *client == Client::Holding(self.word.run());
        self.clients.iter().filter(holds).count()
    }

    /// Whether the run that the word counts for goes on.
    fn word_is_theirs(&self) -> bool {
        self.word.count() > 0
    }

    fn waiting(&self) -> impl Iterator<Item = u64> {
        self.clients.iter().filter_map(|(client, _)| match client {
            Client::Waiting(id) => Some(*id),
            _ => None,
        })
    }

    /// What must hold after every step.
    fn invariants(&self) -> Result<(), Violation> {
        ensure(
            self.word.count() == self.holding(),
            "leases counted are not leases out",
        )?;
        for waiter in self.waiting() {
            ensure(
                self.state.waiters.contains_key(&waiter),
                "a waiter was forgotten",
            )?;
        }
        let work = self.probing
            || self.spawning
            || self.woken
            || self.endpoint == Endpoint::Asked
            || self.state.deadline().is_some()
            || self.process.is_some();
        ensure(
            work || self.waiting().next().is_none(),
            "a waiter is stranded",
        )?;
        ensure(work || !self.stop_waits, "a stop is stranded")?;
        ensure(
            !matches!(self.state.stage, Stage::Stopped) || self.process.is_none(),
            "an orphan",
        )?;
        if let Stage::Ready(ready) = &self.state.stage {
            let idle = self.word.count() == 0 && self.word.is_open() && !self.woken;
            let timed = self.state.deadline().is_some() || self.probing;
            ensure(
                !idle || timed || ready.origin == Origin::External,
                "idle without a timer",
            )?;
            let alive = self.process.is_some_and(|process| !process.told);
            ensure(
                alive == (ready.origin == Origin::Owned),
                "ready on a corpse",
            )?;
        }
        let end = self.handles_gone && self.steps().is_empty();
        let unkillable = matches!(self.state.stage, Stage::Unkillable);
        ensure(
            !end || self.finished || unkillable,
            "something is left at the end",
        )
    }
}

fn ensure(holds: bool, violation: &str) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(violation.to_owned())
    }
}

fn shift(time: &mut Time, elapsed: Duration) {
    if *time != Time::MAX {
        *time = time.saturating_sub(elapsed).max(LONG_AGO);
    }
}

/// Sets all that the machine has to do with time back.
fn rebase(state: &mut State, elapsed: Duration) {
    let shift = |time: &mut Time| shift(time, elapsed);
    state.now = NOW;
    shift(&mut state.not_before);
    state
        .waiters
        .values_mut()
        .for_each(|waiter| shift(&mut waiter.since));
    match &mut state.stage {
        Stage::Stopped | Stage::Spawning(_) | Stage::Unkillable => {}
        Stage::Claiming { since, due } => [since, due].into_iter().for_each(shift),
        Stage::Looking { since, until, .. } => {
            shift(since);
            until.iter_mut().for_each(shift);
        }
        Stage::Loading(loading) => loading.times().for_each(shift),
        Stage::Ready(ready) => ready.times().for_each(shift),
        Stage::Stopping(stopping) => shift(stopping.time()),
        Stage::Settling { until, .. } => shift(until),
    }
}

/// A path to a broken promise.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) violation: Violation,
    pub(crate) path: Vec<String>,
}

/// Visits every state within the bounds; says how many there are.
pub(crate) fn explore(bounds: &Bounds) -> Result<usize, Found> {
    let start = World::new(bounds);
    let mut seen = HashMap::from([(fingerprint(&start), None::<(u64, String)>)]);
    let mut queue = VecDeque::from([start]);
    while let Some(world) = queue.pop_front() {
        let from = fingerprint(&world);
        for step in world.steps() {
            let mut next = world.clone();
            let taken = next.take(&step);
            if let Err(violation) = taken.and_then(|()| next.invariants()) {
                let mut path = path_to(&seen, from);
                path.push(format!("{step:?}"));
                return Err(Found { violation, path });
            }
            let to = fingerprint(&next);
            if let std::collections::hash_map::Entry::Vacant(entry) = seen.entry(to) {
                entry.insert(Some((from, format!("{step:?}"))));
                queue.push_back(next);
            }
        }
        assert!(
            seen.len() <= bounds.states,
            "more than {} states",
            bounds.states
        );
    }
    Ok(seen.len())
}

fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

fn path_to(seen: &HashMap<u64, Option<(u64, String)>>, mut at: u64) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(Some((from, step))) = seen.get(&at) {
        path.push(step.clone());
        at = *from;
    }
    path.reverse();
    path
}

const NO_EVIL: Bounds = Bounds {
    clients: 2,
    rounds: 2,
    crashes: 0,
    strangers: 0,
    rivals: 0,
    stops: 0,
    states: 3_000_000,
};

#[test]
fn sizes() {
    for (name, b) in [
        ("none", NO_EVIL),
        (
            "crash",
            Bounds {
                crashes: 1,
                ..NO_EVIL
            },
        ),
        (
            "strangers",
            Bounds {
                strangers: 1,
                ..NO_EVIL
            },
        ),
        (
            "rivals",
            Bounds {
                rivals: 1,
                ..NO_EVIL
            },
        ),
        (
            "stops",
            Bounds {
                stops: 1,
                ..NO_EVIL
            },
        ),
        (
            "all 2x1",
            Bounds {
                rounds: 1,
                crashes: 1,
                strangers: 1,
                rivals: 1,
                stops: 1,
                ..NO_EVIL
            },
        ),
        (
            "all 1x2",
            Bounds {
                clients: 1,
                crashes: 1,
                strangers: 1,
                rivals: 1,
                stops: 1,
                ..NO_EVIL
            },
        ),
        (
            "crash+stranger",
            Bounds {
                crashes: 1,
                strangers: 1,
                ..NO_EVIL
            },
        ),
    ] {
        let begun = std::time::Instant::now();
        match explore(&b) {
            Ok(states) => println!("{name}: {states} states in {:?}", begun.elapsed()),
            Err(found) => panic!("{}\n{:#?}", found.violation, found.path),
        }
    }
}
