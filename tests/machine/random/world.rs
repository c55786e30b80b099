//! One world in which things happen one after another, each a number of a long list.

use std::time::Duration;

use super::{
    Leases, Promises, Violation, ensure,
    promises::{Room, Standing, Told},
};
use crate::{
    bug::Bug,
    machine::{
        Ask, Claim, Event, Exited, Machine, Policy, ReadyAnswer, Record, Sight, Time, Unanswered,
        Want,
    },
    word::Outcome,
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);
/// So many things happen, at most, until all who wait are answered.
const SOON: usize = 3000;
/// What a probe may see, the good first, and whether another program than our process answered.
const SIGHTS: [(Sight, bool); 9] = [
    (Sight::Ready, false),
    (Sight::Refused, false),
    (Sight::Loading, false),
    (Sight::Silent, false),
    (Sight::Denied, false),
    (Sight::Other, false),
    (Sight::Down, false),
    (Sight::Other, true),
    (Sight::Left, false),
];

/// What happens next, if it can: a kind, and how much or which of it.
pub(crate) type Step = (u8, u8);

/// How the world continues when no caller and no other program does anything any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mood {
    sight: (Sight, bool),
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
pub(crate) fn play(
    steps: &[Step],
    mood: u8,
    bug: &'static Bug,
) -> Result<(), (Violation, Vec<Record>)> {
    let mut world = World::new(bug);
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
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct World {
    pub(super) now: Time,
    pub(super) machine: Machine,
    /// What is wrong with the machine, where the promises themselves are tried.
    pub(super) bug: &'static Bug,
    pub(super) promises: Promises,
    pub(super) leases: Leases,
    /// When the probe that was asked for begins.
    pub(super) probe: Option<Time>,
    /// … and whether it counts only if our process answers.
    pub(super) wants_own: bool,
    /// The ready request is under way.
    pub(super) asks: bool,
    /// The stop command runs.
    pub(super) commanding: bool,
    /// A renewal of the use of a peer's server is under way.
    pub(super) renewing: bool,
    /// A connection to the address is under way.
    pub(super) knocking: bool,
    /// A look at the use of the port is under way.
    pub(super) looking: bool,
    /// When another program was last seen to use it.
    pub(super) used_at: Time,
    /// Requests that ended without an answer, which the machine does not know of.
    unanswered: u32,
    /// The process has ended, which the machine was not told yet.
    pub(super) has_ended: bool,
    /// The last lease has ended, and the machine wants to know.
    pub(super) woken: bool,
    /// Answers to the event at hand.
    pub(super) fed: usize,
    /// What the callers wanted when the event at hand came.
    pub(super) wants: Vec<(u64, Want)>,
    next_body: u64,
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
        unresponsive_after: (!is_set(16)).then_some(60 * SEC),
        needs_room: is_set(32),
        keep_ready: is_set(64),
        stop_command: is_set(128),
        launcher: is_set(128) && is_set(2),
        ready_request: is_set(128) && !is_set(1),
    }
}

impl World {
    pub(super) fn new(bug: &'static Bug) -> Self {
        Self {
            now: Time::ZERO,
            machine: Machine::new(policy(0)),
            bug,
            promises: Promises::new(policy(0)),
            leases: Leases::default(),
            probe: None,
            wants_own: false,
            asks: false,
            commanding: false,
            renewing: false,
            knocking: false,
            looking: false,
            used_at: Time::ZERO,
            unanswered: 0,
            has_ended: false,
            woken: false,
            fed: 0,
            wants: Vec::new(),
            next_body: 0,
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
            62 => self.body_ends(),
            63 => {
                let process = self.promises.process.as_ref();
                self.has_ended |= process.is_some_and(|it| it.exited.is_none());
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A client that takes a lease by itself, or asks for what it wants.
    fn call(&mut self, amount: u8) -> Result<(), Violation> {
        let want = match amount % 8 {
            0 => Want::Start,
            1 => Want::Readiness,
            2 if amount & 8 == 0 => Want::Preload,
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
                shut_down: false,
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
        if matches!(self.promises.claim, Standing::Asked | Standing::Guest) {
            self.feed(Event::Claim(Claim::Owner))
        } else if self.renewing {
            self.renewed(amount)
        } else if self.knocking {
            self.knocked(amount.is_multiple_of(4))
        } else if self.looking {
            self.looked(amount)
        } else if self.asks {
            self.ready_requested(amount)
        } else if self.commanding {
            self.commanding = false;
            self.feed(Event::StopCommandEnded)
        } else if self.unanswered > 0 {
            self.tell_unanswered(amount)
        } else if self.has_ended {
            self.exit(false)
        } else if self.promises.spawning {
            self.feed(Event::Spawned)
        } else if exited == Some(true) {
            self.gone()
        } else if ends {
            self.exit(false)
        } else if self.woken {
            self.wake()
        } else if exited.is_none() && !amount.is_multiple_of(4) {
            self.probed(SIGHTS[1])
        } else {
            self.probed(SIGHTS[0])
        }
    }

    fn ready_requested(&mut self, amount: u8) -> Result<(), Violation> {
        self.asks = false;
        let answer = match amount % 16 {
            0 => ReadyAnswer::Rejected,
            1 | 2 => ReadyAnswer::None,
            _ => ReadyAnswer::Expected,
        };
        self.feed(Event::ReadyRequested(answer))
    }

    fn end_lease(&mut self, amount: u8, outcome: Outcome) {
        let held = self.leases.held();
        if held > 0 {
            let nth = usize::from(amount) % held;
            self.unanswered += u32::from(outcome == Outcome::Unanswered);
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
        self.has_ended = false;
        self.feed(Event::Exited(Exited {
            // A command that has left its server to a daemon ends without an error.
            code: Some(i32::from(!self.journal.len().is_multiple_of(3))),
            signal: None,
            served: self.leases.served,
            port_taken,
        }))
    }

    fn claim_changes(&mut self, amount: u8) -> Result<(), Violation> {
        if self.renewing {
            return self.renewed(amount);
        }
        let open = amount & 4 == 4;
        let claim = match (self.promises.claim, amount % 4) {
            (Standing::Asked, 0) | (Standing::Guest, 1) => Claim::Guest { open },
            (Standing::Guest, 0) => Claim::Rival,
            (Standing::Guest, _) => Claim::Owner,
            (Standing::Ours { told }, _) => return self.others_say(told, amount),
            _ => return Ok(()),
        };
        self.feed(Event::Claim(claim))
    }

    /// What the other services say to one that has the address.
    fn others_say(&mut self, told: Told, amount: u8) -> Result<(), Violation> {
        let instance = self.promises.instance.as_ref();
        let is_idle = self.leases.count() == 0;
        let claim = match (instance, amount % 8) {
            _ if self.promises.room == Room::Asked => match amount % 8 {
                0 => Claim::NoRoom,
                _ => Claim::Room,
            },
            (Some(_), 0..=3) if is_idle && told != Told::Nothing => return self.makes_way(),
            (Some(_), 4 | 5) => Claim::Contested,
            (Some(_), 6) => Claim::Wanted,
            (Some(_), 7) => Claim::Uncontested,
            (None, 0..=2) if self.is_unwanted() => return self.makes_way(),
            _ => return Ok(()),
        };
        self.feed(Event::Claim(claim))
    }

    /// No request waits for the start, or none that counts.
    fn is_unwanted(&self) -> bool {
        let mut waiters = self.promises.waiters.values();
        waiters.all(|it| it.want == Want::Preload) || self.machine.common.retired
    }

    fn makes_way(&mut self) -> Result<(), Violation> {
        self.leases.open = false;
        self.feed(Event::Claim(Claim::Leave))
    }

    /// Whose server it is by now that was a peer's, or of no program with this crate.
    fn renewed(&mut self, amount: u8) -> Result<(), Violation> {
        self.renewing = false;
        self.feed(Event::Claim(match amount % 4 {
            0 => Claim::Lost,
            1 => Claim::Guest { open: true },
            _ => Claim::Free,
        }))
    }

    fn knocked(&mut self, refused: bool) -> Result<(), Violation> {
        self.knocking = false;
        self.feed(Event::Knocked { refused })
    }

    /// Another program may have used the server.
    fn looked(&mut self, amount: u8) -> Result<(), Violation> {
        self.looking = false;
        let before = match amount % 4 {
            0 => Some(SEC),
            1 => Some(30 * SEC),
            _ => None,
        };
        let last = before.map(|before| self.now.saturating_sub(before));
        self.used_at = self.used_at.max(last.unwrap_or_default());
        self.feed(Event::Used { last })
    }

    /// Some servers do nothing meanwhile, and some are busy.
    fn tell_unanswered(&mut self, amount: u8) -> Result<(), Violation> {
        let requests = std::mem::take(&mut self.unanswered);
        let answered = self.leases.answered();
        let cpu = match amount % 3 {
            0 => None,
            1 => Some(Time::ZERO),
            _ => Some(self.now),
        };
        self.feed(Event::Unanswered(Unanswered {
            requests,
            answered,
            cpu,
        }))
    }

    /// A body ends with its connection.
    fn body_ends(&mut self) -> Result<(), Violation> {
        if self.leases.count() == 0 {
            return Ok(());
        }
        let body = self.next_body;
        self.next_body += 1;
        self.feed(Event::BodyEnded { body })
    }

    fn gone(&mut self) -> Result<(), Violation> {
        let unread = self.leases.held() > 0;
        self.feed(Event::Gone { unread })
    }

    /// The probe that was asked for sees it, if that is possible.
    fn probed(&mut self, sight: (Sight, bool)) -> Result<(), Violation> {
        let Some(begins) = self.probe else {
            return Ok(());
        };
        let (sight, foreign) = self.possible(sight);
        let took = if sight == Sight::Silent { 2 * SEC } else { MS };
        self.wait_until(begins.max(self.now) + took)?;
        // A deadline in between may have made it useless.
        if self.probe == Some(begins) {
            self.probe = None;
            self.feed(Event::Probed {
                sight,
                foreign,
                detail: String::new(),
            })?;
        }
        Ok(())
    }

    /// No caller comes any more: all that wait are answered soon, and then nothing is left.
    fn rest(&mut self, mood: Mood) -> Result<(), Violation> {
        self.comes_to(mood, "a waiter is never answered", |it| {
            it.waiters.is_empty() && it.bodies.is_empty() && !it.stop_waits
        })?;
        while self.leases.held() > 0 {
            self.end_lease(0, Outcome::Completed);
        }
        self.feed(Event::HandlesGone)?;
        self.comes_to(mood, "it never ends", |it| it.finished)
    }

    fn comes_to(
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
            let negotiates = matches!(self.promises.claim, Standing::Asked | Standing::Guest);
            let told = Told::Contested;
            let closed = self.promises.claim == Standing::Ours { told };
            if closed
                && self.promises.instance.is_some()
                && self.leases.count() == 0
                && !self.has_ended
            {
                self.makes_way()?;
            } else if self.promises.room == Room::Asked && mood.grants {
                self.feed(Event::Claim(Claim::Room))?;
            } else if negotiates && mood.grants {
                self.feed(Event::Claim(Claim::Owner))?;
            } else if self.renewing {
                self.renewed(2)?;
            } else if self.knocking {
                self.knocked(false)?;
            } else if self.looking {
                self.looked(2)?;
            } else if self.asks {
                self.ready_requested(15)?;
            } else if self.commanding {
                self.commanding = false;
                self.feed(Event::StopCommandEnded)?;
            } else if self.has_ended {
                self.exit(false)?;
            } else if self.promises.spawning {
                self.feed(Event::Spawned)?;
            } else if exited {
                self.gone()?;
            } else if heeded {
                self.exit(false)?;
            } else if self.woken {
                self.wake()?;
            } else if self.leases.held() > 0 {
                self.end_lease(0, Outcome::Completed);
            } else if self.probe.is_some() {
                self.probed(self.possible(mood.sight))?;
            } else if let Some(due) = self.machine.deadline() {
                self.wait_until(due.max(self.now))?;
            } else {
                break;
            }
        }
        ensure(is_over(&self.promises), otherwise)
    }

    /// Whether another program answers can be seen only while the owned process may be the one that does.
    fn possible(&self, sight: (Sight, bool)) -> (Sight, bool) {
        (sight.0, sight.1 && self.wants_own)
    }
}
