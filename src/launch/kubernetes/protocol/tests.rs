//! All orders of the calls of three programs, with crashes, lost calls and replies, calls that are executed late, and a
//! person who scales, too.

use std::{
    collections::{BTreeMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    rc::Rc,
};

use super::*;

const DEADLINE: Duration = Duration::from_secs(12);
const PROGRAMS: usize = 3;

/// The API server, as far as it is asked.
#[derive(Clone, Debug, Default, Hash)]
struct Api {
    changes: u64,
    version: u64,
    replicas: u32,
    is_ours: bool,
    leases: BTreeMap<usize, u64>,
    evil: Evil,
}

/// What the protocol relies on, and this server does not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Evil {
    #[default]
    None,
    /// A workload is changed whatever version is named.
    NoVersions,
    /// A change of the annotation is no new version.
    NoTouch,
    /// The list is that of the time before the last change.
    OldLists,
}

impl Api {
    fn workload(&self) -> Reply {
        Reply::Workload(Workload {
            version: self.version.to_string(),
            replicas: self.replicas,
            is_ours: self.is_ours,
        })
    }

    fn change(&mut self, replicas: u32, is_ours: bool) {
        self.changes += 1;
        (self.version, self.replicas, self.is_ours) = (self.changes, replicas, is_ours);
    }

    fn execute(&mut self, who: usize, call: &Call) -> Reply {
        let is = |it: u64, version: &str| it.to_string() == version;
        match call {
            Call::Read => self.workload(),
            Call::Touch => {
                if self.evil != Evil::NoTouch {
                    self.change(self.replicas, self.is_ours);
                }
                self.workload()
            }
            Call::ScaleUp(version) | Call::ScaleDown(version) => {
                if !is(self.version, version) && self.evil != Evil::NoVersions {
                    return Reply::Conflict;
                }
                let up = matches!(call, Call::ScaleUp(_));
                self.change(u32::from(up), up);
                self.workload()
            }
            Call::Say => {
                self.changes += 1;
                let before = self.leases.insert(who, self.changes);
                Reply::Said {
                    is_new: before.is_none(),
                }
            }
            Call::Unsay => {
                self.leases.remove(&who);
                Reply::Done
            }
            Call::List => {
                let old = self.evil == Evil::OldLists;
                let leases = self.leases.iter().filter(|(other, version)| {
                    **other != who && !(old && **version == self.changes)
                });
                let leases = leases.map(|(other, version)| Lease {
                    name: other.to_string(),
                    version: version.to_string(),
                    deadline: DEADLINE,
                });
                Reply::Leases(leases.collect())
            }
            Call::Forget(name, version) => {
                let dead = name.parse().unwrap();
                let found = self.leases.get(&dead);
                if found.is_some_and(|it| !is(*it, version)) {
                    return Reply::Conflict;
                }
                self.leases.remove(&dead);
                Reply::Done
            }
        }
    }
}

/// What may still happen.
#[derive(Clone, Copy, Debug, Hash)]
struct Budget {
    joins: [u8; PROGRAMS],
    waits: u8,
    /// Calls that take some time.
    holds: u8,
    crashes: u8,
    faults: u8,
    people: u8,
}

#[derive(Clone, Debug, Hash)]
struct World {
    now: Time,
    api: Api,
    programs: [Option<Program>; PROGRAMS],
    /// Calls under way.
    flights: [Option<Call>; PROGRAMS],
    /// Calls whose program does not wait for them any more.
    late: Vec<(usize, Call)>,
    budget: Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Join(usize),
    Leave(usize),
    /// Its next call is sent, executed and answered.
    Call(usize),
    /// Its next call is sent.
    Send(usize),
    Wait(usize),
    /// What was sent is executed and answered.
    Execute(usize),
    /// Not executed.
    Lose(usize),
    /// Executed, and the reply is lost.
    LoseReply(usize),
    /// Executed some time later.
    Delay(usize),
    ExecuteLate(usize),
    Crash(usize),
    /// A person scales.
    Scale(u32),
}

impl World {
    fn new(evil: Evil, budget: Budget) -> Self {
        let programs = [1000, 900, 800].map(|spread| Some(Program::new(DEADLINE, spread)));
        Self {
            now: Duration::from_secs(1),
            api: Api {
                evil,
                ..Api::default()
            },
            programs,
            flights: [const { None }; PROGRAMS],
            late: Vec::new(),
            budget,
        }
    }

    /// The same for states that differ only in the moment, in the names of versions, and in what counts no more.
    fn digest(&self) -> u64 {
        let mut names = BTreeMap::new();
        let mut name = |version: &str| {
            let next = names.len();
            *names.entry(version.to_owned()).or_insert(next)
        };
        let mut hasher = DefaultHasher::new();
        name(&self.api.version.to_string()).hash(&mut hasher);
        (self.api.replicas, self.api.is_ours, &self.budget).hash(&mut hasher);
        for (who, version) in &self.api.leases {
            (who, name(&version.to_string())).hash(&mut hasher);
        }
        let calls = self.flights.iter().flatten();
        let calls = calls.chain(self.late.iter().map(|(_, call)| call));
        for call in calls {
            match call {
                Call::ScaleUp(it) | Call::ScaleDown(it) | Call::Forget(_, it) => name(it),
                _ => 0,
            }
            .hash(&mut hasher);
            std::mem::discriminant(call).hash(&mut hasher);
        }
        let whose: Vec<_> = self.late.iter().map(|(who, _)| who).collect();
        (whose, self.flights.each_ref().map(Option::is_some)).hash(&mut hasher);
        let since = |at: Time| self.now.saturating_sub(at).min(DEADLINE * 2);
        let until = |at: Time| at.saturating_sub(self.now);
        for (who, program) in self.programs.iter().enumerate() {
            let Some(it) = program else {
                continue;
            };
            (who, it.is_wanted, it.standing, it.has_said, it.has_touched).hash(&mut hasher);
            std::mem::discriminant(&it.stage).hash(&mut hasher);
            match &it.stage {
                Stage::Resting { until: at } => until(*at).hash(&mut hasher),
                Stage::ScalingUp(it) | Stage::Listing(it) | Stage::ScalingDown(it) => {
                    name(it).hash(&mut hasher);
                }
                Stage::Forgetting(it) => name(&it.version).hash(&mut hasher),
                _ => {}
            }
            let said = it.has_said.then(|| since(it.said_at));
            let sent = self.flights[who].as_ref().map(|_| since(it.sent_at));
            (said, sent, until(it.retry_at), it.failures, it.rest).hash(&mut hasher);
            if !it.seen.is_empty() {
                since(it.listed_at).hash(&mut hasher);
            }
            for (who, (version, at)) in &it.seen {
                (who, name(version), since(*at)).hash(&mut hasher);
            }
            for dead in &it.dead {
                name(&dead.version).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        let budget = &self.budget;
        for (who, program) in self.programs.iter().enumerate() {
            let Some(program) = program else {
                continue;
            };
            match program.standing() {
                Standing::Out | Standing::Lost if budget.joins[who] > 0 => {
                    moves.push(Move::Join(who));
                }
                Standing::In | Standing::External | Standing::Joining => {
                    moves.push(Move::Leave(who));
                }
                _ => {}
            }
            if self.flights[who].is_some() {
                moves.push(Move::Execute(who));
                if budget.faults > 0 {
                    moves.extend([Move::Lose(who), Move::LoseReply(who), Move::Delay(who)]);
                }
            } else {
                match program.clone().step(self.now) {
                    Step::Call(_) => {
                        moves.push(Move::Call(who));
                        if budget.holds > 0 {
                            moves.push(Move::Send(who));
                        }
                    }
                    Step::Wait { until } if until < Time::MAX && budget.waits > 0 => {
                        moves.push(Move::Wait(who));
                    }
                    Step::Wait { .. } => {}
                }
            }
            if budget.crashes > 0 {
                moves.push(Move::Crash(who));
            }
        }
        moves.extend((0..self.late.len()).map(Move::ExecuteLate));
        if budget.people > 0 {
            moves.extend([0, 3].map(Move::Scale));
        }
        moves
    }

    fn perform(&mut self, it: Move) {
        match it {
            Move::Join(who) => {
                self.budget.joins[who] -= 1;
                self.program(who).join();
            }
            Move::Leave(who) => self.program(who).leave(),
            Move::Call(who) => {
                self.send(who);
                self.perform(Move::Execute(who));
            }
            Move::Send(who) => {
                self.budget.holds -= 1;
                self.send(who);
            }
            Move::Wait(who) => {
                let Step::Wait { until } = self.program(who).clone().step(self.now) else {
                    unreachable!("it waits");
                };
                self.budget.waits -= 1;
                self.now = until;
            }
            Move::Execute(who) => {
                let reply = self.execute(who);
                self.reply(who, reply);
            }
            Move::Lose(who) | Move::LoseReply(who) | Move::Delay(who) => {
                self.budget.faults -= 1;
                match it {
                    Move::LoseReply(_) => drop(self.execute(who)),
                    Move::Delay(_) => self
                        .late
                        .extend(self.flights[who].clone().map(|it| (who, it))),
                    _ => {}
                }
                self.flights[who] = None;
                self.reply(who, Reply::Failed);
            }
            Move::ExecuteLate(at) => {
                let (who, call) = self.late.remove(at);
                self.run(who, &call);
            }
            Move::Crash(who) => {
                self.budget.crashes -= 1;
                self.programs[who] = None;
                // What it has sent may still arrive.
                self.late
                    .extend(self.flights[who].take().map(|it| (who, it)));
            }
            Move::Scale(replicas) => {
                self.budget.people -= 1;
                self.api.change(replicas, false);
            }
        }
    }

    fn send(&mut self, who: usize) {
        let now = self.now;
        let Step::Call(call) = self.program(who).step(now) else {
            unreachable!("it would send");
        };
        self.flights[who] = Some(call);
    }

    fn program(&mut self, who: usize) -> &mut Program {
        self.programs[who].as_mut().expect("it lives")
    }

    fn execute(&mut self, who: usize) -> Reply {
        let call = self.flights[who].take().expect("it is under way");
        self.run(who, &call)
    }

    fn run(&mut self, who: usize, call: &Call) -> Reply {
        let was_foreign = self.api.replicas > 0 && !self.api.is_ours;
        let reply = self.api.execute(who, call);
        let scaled = matches!(call, Call::ScaleUp(_) | Call::ScaleDown(_));
        let is_changed = scaled && reply != Reply::Conflict;
        assert!(
            !(was_foreign && is_changed),
            "what others have scaled is scaled"
        );
        reply
    }

    fn reply(&mut self, who: usize, reply: Reply) {
        let now = self.now;
        self.program(who).replied(reply, now);
    }

    /// No program has its workload scaled down under it.
    fn is_safe(&self, people: bool) -> bool {
        let users = self.programs.iter().flatten();
        // One that could not renew its Lease in time takes its place again.
        let is_sure = |it: &Program| it.has_touched && !it.is_late(self.now);
        let mut users = users.filter(|it| it.standing() == Standing::In && is_sure(it));
        people || self.api.replicas > 0 || users.next().is_none()
    }

    /// From here on all programs leave, and nothing fails.
    fn ends_at_zero(mut self) -> bool {
        self.budget = Budget {
            joins: [0; PROGRAMS],
            waits: 0,
            holds: 0,
            crashes: 0,
            faults: 0,
            people: 0,
        };
        // One that never used the workload has nothing to look after.
        let is_anybody_left = self.programs.iter().flatten().any(|it| it.has_said);
        while let Some((who, call)) = self.late.pop() {
            self.run(who, &call);
        }
        for who in 0..PROGRAMS {
            if let Some(program) = &mut self.programs[who]
                && !matches!(program.standing(), Standing::Out | Standing::Lost)
            {
                program.leave();
            }
        }
        // Fifteen minutes: a look of one that rests, and what it takes to see that another one has died.
        let end = self.now + REST + DEADLINE * 25;
        while self.now < end {
            let alive = (0..PROGRAMS).filter(|who| self.programs[*who].is_some());
            let mut steps = alive.map(|who| {
                let program = self.programs[who].clone();
                let step = program.expect("it lives").step(self.now);
                let at = match step {
                    Step::Wait { until } if self.flights[who].is_none() => until,
                    _ => self.now,
                };
                (at, who)
            });
            let Some((at, who)) = steps.by_ref().min() else {
                break;
            };
            drop(steps);
            self.now = self.now.max(at);
            if self.now >= end {
                break;
            }
            if self.flights[who].is_none() {
                self.send(who);
            }
            self.perform(Move::Execute(who));
        }
        !(is_anybody_left && self.api.replicas > 0 && self.api.is_ours)
    }
}

/// The last move, and those before it.
#[derive(Debug)]
#[expect(dead_code, reason = "it is shown")]
struct Path(Move, Option<Rc<Self>>);

/// Visits all states that the budget allows, and says how many there are, or what breaks a promise.
fn explore(evil: Evil, budget: Budget) -> Result<usize, String> {
    let first = World::new(evil, budget);
    let mut known = HashSet::from([first.digest()]);
    let mut open = vec![(first, None)];
    while let Some((world, path)) = open.pop() {
        for it in world.moves() {
            let mut next = world.clone();
            next.perform(it);
            let path = Some(Rc::new(Path(it, path.clone())));
            let people = next.budget.people < budget.people;
            if !next.is_safe(people) {
                return Err(format!("scaled down under a user: {path:?}\n{next:#?}"));
            }
            if known.insert(next.digest()) {
                // Every state would cost minutes.
                if known.len() % 7 == 0 && !next.clone().ends_at_zero() {
                    return Err(format!("never scaled down: {path:?}\n{next:#?}"));
                }
                open.push((next, path));
            }
        }
    }
    Ok(known.len())
}

const TWO: Budget = Budget {
    joins: [1, 1, 0],
    waits: 3,
    holds: 1,
    crashes: 0,
    faults: 0,
    people: 0,
};

/// No promise is broken, and that is not because nothing was tried.
fn holds(budget: Budget) {
    let states = explore(Evil::None, budget).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(states > 10_000, "{states}");
}

#[test]
fn a_program_that_comes_back_is_not_cut_off() {
    holds(Budget {
        joins: [2, 1, 0],
        ..TWO
    });
}

#[test]
fn what_a_dead_program_used_is_scaled_down() {
    holds(Budget {
        crashes: 1,
        waits: 4,
        ..TWO
    });
}

#[test]
fn a_call_that_is_lost_or_late_does_no_harm() {
    holds(Budget { faults: 1, ..TWO });
}

#[test]
fn what_a_person_has_scaled_is_left_alone() {
    holds(Budget { people: 1, ..TWO });
}

#[test]
#[ignore = "it takes minutes"]
fn three_programs_with_all_evils() {
    let three = Budget {
        joins: [1, 1, 1],
        waits: 2,
        ..TWO
    };
    holds(three);
    holds(Budget {
        crashes: 1,
        faults: 1,
        waits: 5,
        ..TWO
    });
}

#[test]
fn what_the_protocol_relies_on_is_needed() {
    for evil in [Evil::NoVersions, Evil::NoTouch, Evil::OldLists] {
        let broken = explore(evil, TWO).expect_err("a promise is broken");
        assert!(
            broken.starts_with("scaled down under a user"),
            "{evil:?}: {broken}"
        );
    }
}
