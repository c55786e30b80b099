//! One world in which things happen one after another, each a number of a long list.

use std::time::Duration;

use super::{Leases, Promises, Violation, ensure, promises::Standing};
use crate::{
    leases::word::Outcome,
    machine::{Ask, Claim, Event, Exited, Policy, Sight, State, Time, Want, journal::Record},
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);
/// So many things happen, at most, until all who wait are answered.
const SOON: usize = 3000;
/// What a probe may see, the good first.
const SIGHTS: [Sight; 10] = [
    Sight::Wanted,
    Sight::Refused,
    Sight::Status(503),
    Sight::Silent,
    Sight::Broken,
    Sight::Status(401),
    Sight::Status(404),
    Sight::Status(502),
    Sight::Garbled,
    Sight::Stranger(1),
];

/// What happens next, if it can: a kind, and how much or which of it.
pub(crate) type Step = (u8, u8);

/// How the world goes on when nobody does anything any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mood {
    sight: Sight,
    grants: bool,
    heeds_term: bool,
}

impl Mood {
    pub(crate) fn new(number: u8) -> Self {
        Self {
            sight: SIGHTS[usize::from(number / 4) % SIGHTS.len()],
            grants: number & 1 == 0,
            heeds_term: number & 2 == 0,
        }
    }
}

/// Takes all steps, and waits for what is left of them; breaks off where a promise is broken.
pub(crate) fn play(steps: &[Step], mood: u8) -> Result<(), (Violation, Vec<Record>)> {
    let mut world = World::new();
    let mut played = || {
        // As every journal begins.
        world.feed(Event::PolicyChanged(policy(0)))?;
        for &step in steps {
            world.take(step)?;
        }
        world.rest(Mood::new(mood))
    };
    played().map_err(|violation| (violation, world.journal))
}

/// The machine, its driver, and all that is around it.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: Time,
    pub(super) state: State,
    pub(super) promises: Promises,
    pub(super) leases: Leases,
    /// When the probe that was asked for begins.
    pub(super) probe: Option<Time>,
    /// The last lease has ended, and the machine wants to know.
    pub(super) woken: bool,
    next_waiter: u64,
    pub(super) journal: Vec<Record>,
}

fn policy(number: u8) -> Policy {
    let is_set = |bit: u8| number & bit != 0;
    Policy {
        ready_timeout: if is_set(1) { 3 * SEC } else { 20 * SEC },
        idle_stop: (!is_set(2)).then_some(10 * SEC),
        stop_timeout: if is_set(4) { Duration::ZERO } else { 4 * SEC },
        abandon_grace: (!is_set(8)).then_some(2 * SEC),
        recheck: if is_set(16) { 5 * SEC } else { 30 * SEC },
    }
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            now: Time::ZERO,
            state: State::new(policy(0)),
            promises: Promises::new(policy(0)),
            leases: Leases::default(),
            probe: None,
            woken: false,
            next_waiter: 0,
            journal: Vec::new(),
        }
    }

    fn take(&mut self, (kind, amount): Step) -> Result<(), Violation> {
        // What happens most, and does no harm, comes first: a failure shrinks to it.
        match kind % 64 {
            0..=9 => self.call(amount),
            10..=17 => self.pass(amount),
            18..=35 => self.goes_on(amount),
            36..=46 => {
                let outcome = match kind % 64 {
                    44 => Outcome::Answered,
                    45 | 46 => Outcome::Unanswered,
                    _ => Outcome::Completed,
                };
                self.end_lease(amount, outcome);
                Ok(())
            }
            47..=50 => self.probed(SIGHTS[usize::from(amount) % SIGHTS.len()]),
            51..=54 => self.exit(amount.is_multiple_of(4)),
            55 => self.leave(amount),
            56 => self.feed(Event::PolicyChanged(policy(amount))),
            57 => self.claim_changes(amount),
            58 if self.promises.spawning => self.feed(Event::SpawnFailed {
                invalid: amount & 1 == 1,
            }),
            59 => self.feed(Event::Dismissed {
                handle: u64::from(amount % 3),
            }),
            60 if !self.promises.stop_waits => self.feed(Event::StopAsked),
            61 if !self.promises.stop_waits => self.feed(Event::RetireAsked {
                limit: (amount & 1 == 1).then_some(3 * SEC),
            }),
            _ => Ok(()),
        }
    }

    /// A client that takes a lease by itself, or asks for what it wants.
    fn call(&mut self, amount: u8) -> Result<(), Violation> {
        let want = match amount % 8 {
            0 => Want::Start,
            1 => Want::Readiness,
            _ => Want::Lease,
        };
        if want == Want::Lease && self.leases.take() {
            return Ok(());
        }
        let waiter = self.next_waiter;
        self.next_waiter += 1;
        let long = 40 * SEC;
        let swap_timeouts = [long, long, long, long, long, long, 5 * SEC, Duration::ZERO];
        self.feed(Event::Asked {
            waiter,
            ask: Ask {
                handle: u64::from(amount / 8 % 3),
                want,
                swap_timeout: swap_timeouts[usize::from(amount / 32)],
                max_waiters: (amount >= 224).then_some(2),
            },
            suspect: self.leases.suspect,
            leases: self.leases.count(),
        })
    }

    fn pass(&mut self, amount: u8) -> Result<(), Violation> {
        let times = [
            MS,
            20 * MS,
            300 * MS,
            SEC,
            3 * SEC,
            11 * SEC,
            31 * SEC,
            70 * SEC,
        ];
        self.wait_until(self.now + times[usize::from(amount) % times.len()])
    }

    /// Whatever is under way comes to its end, and well.
    fn goes_on(&mut self, amount: u8) -> Result<(), Violation> {
        let process = self.promises.process.as_ref();
        let exited = process.map(|process| process.exited.is_some());
        let ends = process.is_some_and(|it| it.terminated.is_some() || it.killed.is_some());
        if self.promises.claim == Standing::Asked {
            self.feed(Event::Claim(Claim::Granted))
        } else if self.promises.spawning {
            self.feed(Event::Spawned)
        } else if exited == Some(true) {
            self.feed(Event::Gone)
        } else if ends {
            self.exit(false)
        } else if self.woken {
            self.wake()
        } else if exited.is_none() && !amount.is_multiple_of(4) {
            self.probed(Sight::Refused)
        } else {
            self.probed(Sight::Wanted)
        }
    }

    fn end_lease(&mut self, amount: u8, outcome: Outcome) {
        let held = self.leases.held();
        if held > 0 {
            let nth = usize::from(amount) % held;
            self.woken |= self.leases.give_back(nth, outcome, self.now);
        }
    }

    fn leave(&mut self, amount: u8) -> Result<(), Violation> {
        let waiters: Vec<_> = self.promises.waiters.keys().copied().collect();
        match waiters.get(usize::from(amount) % waiters.len().max(1)) {
            Some(&waiter) => self.feed(Event::Left { waiter }),
            None => Ok(()),
        }
    }

    fn exit(&mut self, port_taken: bool) -> Result<(), Violation> {
        let lives = self
            .promises
            .process
            .as_ref()
            .is_some_and(|it| it.exited.is_none());
        if !lives {
            return Ok(());
        }
        self.feed(Event::Exited(Exited {
            code: Some(1),
            signal: None,
            served: self.leases.served,
            port_taken,
        }))
    }

    fn claim_changes(&mut self, amount: u8) -> Result<(), Violation> {
        let claim = match (self.promises.claim, amount % 4) {
            (Standing::Asked, 0) => Claim::Refused,
            (Standing::Ours { wanted: false }, 0) => Claim::Lost,
            (Standing::Ours { wanted: false }, _) => Claim::Wanted,
            (Standing::Ours { wanted: true }, _) => Claim::Unwanted,
            _ => return Ok(()),
        };
        self.feed(Event::Claim(claim))
    }

    /// The probe that was asked for sees it, if that is possible.
    fn probed(&mut self, sight: Sight) -> Result<(), Violation> {
        let Some(begins) = self.probe else {
            return Ok(());
        };
        let sight = self.possible(sight);
        let took = if sight == Sight::Silent { 2 * SEC } else { MS };
        self.wait_until(begins.max(self.now) + took)?;
        // A deadline in between may have made it useless.
        if self.probe == Some(begins) {
            self.probe = None;
            let leases = self.leases.count();
            self.feed(Event::Probed {
                sight,
                took,
                leases,
            })?;
        }
        Ok(())
    }

    /// Nobody asks any more: whoever waits is answered soon, and then nothing is left.
    fn rest(&mut self, mood: Mood) -> Result<(), Violation> {
        self.settle(mood, "who waits is never answered", |it| {
            it.waiters.is_empty() && !it.stop_waits
        })?;
        while self.leases.held() > 0 {
            self.end_lease(0, Outcome::Completed);
        }
        self.feed(Event::HandlesGone)?;
        self.settle(mood, "it never ends", |it| it.finished)
    }

    fn settle(
        &mut self,
        mood: Mood,
        otherwise: &str,
        is_over: impl Fn(&Promises) -> bool,
    ) -> Result<(), Violation> {
        for _ in 0..SOON {
            if is_over(&self.promises) {
                return Ok(());
            }
            let process = self.promises.process.as_ref();
            let exited = process.is_some_and(|it| it.exited.is_some());
            let heeded = process.is_some_and(|it| {
                it.killed.is_some() || it.terminated.is_some() && mood.heeds_term
            });
            if self.promises.claim == Standing::Asked && mood.grants {
                self.feed(Event::Claim(Claim::Granted))?;
            } else if self.promises.spawning {
                self.feed(Event::Spawned)?;
            } else if exited {
                self.feed(Event::Gone)?;
            } else if heeded {
                self.exit(false)?;
            } else if self.woken {
                self.wake()?;
            } else if self.leases.held() > 0 {
                self.end_lease(0, Outcome::Completed);
            } else if self.probe.is_some() {
                self.probed(self.possible(mood.sight))?;
            } else if let Some(due) = self.state.deadline() {
                self.wait_until(due.max(self.now))?;
            } else {
                break;
            }
        }
        ensure(is_over(&self.promises), otherwise)
    }

    /// Whose answer it is can be seen only while a process of ours may be it.
    fn possible(&self, sight: Sight) -> Sight {
        match sight {
            Sight::Stranger(_) if !self.state.wants_own_listener() => Sight::Status(404),
            sight => sight,
        }
    }
}
