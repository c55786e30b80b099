//! A machine with its driver, its clients and all that may befall it, as one value.

use std::hash::{Hash, Hasher};

use super::{Bounds, Duration, MS};
use crate::{
    leases::word::Word,
    machine::{Policy, State, Time},
};

/// After every step the clock is set back to this, so that states that differ by their age alone
/// are one.
pub(super) const NOW: Time = Duration::from_secs(100);

pub(super) const SWAP_TIMEOUT: Duration = Duration::from_millis(30);
/// How long a retirement with a limit lets leases go on.
pub(super) const RETIRE_LIMIT: Duration = Duration::from_millis(5);

pub(super) const CLIENTS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Client {
    /// How often it may still ask.
    pub(super) rounds: u8,
    pub(super) stands: Stands,
}

/// What a client is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stands {
    Idle,
    /// Its question is on the way.
    Asking,
    /// … and so is the word that it has given up already.
    AskingAndLeaving,
    Waiting,
    /// It has given up, which the machine does not know yet.
    Leaving,
    /// … and it was answered all the same.
    LeavingAnswered,
    /// It has a lease of this run.
    Holding(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Process {
    /// What leases of its run bear.
    pub(super) run: u64,
    /// Its leader has ended.
    pub(super) dead: bool,
    /// … and the machine knows.
    pub(super) told: bool,
    pub(super) terminated: bool,
    pub(super) killed: bool,
}

/// What cannot be shared: the port of the base URL, and where it differs that of the health URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Endpoint {
    NotOurs,
    /// Some of it is still another's. Others may wait already for what we have of it.
    Asked {
        missing: u8,
        wanted: u8,
    },
    /// Another host has it for the same server, which is used once it is ready.
    Guest,
    /// `wanted`: at how many of its ports another waits.
    Ours {
        wanted: u8,
    },
}

#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct World {
    pub(super) state: State,
    pub(super) word: Word,
    pub(super) clients: [Client; CLIENTS],
    pub(super) process: Option<Process>,
    pub(super) spawning: bool,
    /// A probe is under way.
    pub(super) probing: bool,
    pub(super) endpoint: Endpoint,
    /// Other hosts may begin to use our server.
    pub(super) admits: bool,
    /// Another host uses what it takes for this run.
    pub(super) lent: Option<u64>,
    /// … and the machine waits for its end.
    pub(super) lent_seen: bool,
    /// Of how many ports it consists.
    pub(super) ports: u8,
    /// The last lease has ended, and the machine does not know yet.
    pub(super) woken: bool,
    pub(super) idle_since: Time,
    pub(super) alive_since: Time,
    /// Somebody waits for a stop or a retirement.
    pub(super) stop_waits: bool,
    /// `stop()` was called on what runs now.
    pub(super) cut: bool,
    /// From then on, what runs now may be cut off from its leases.
    pub(super) cut_from: Option<Time>,
    pub(super) handles_gone: bool,
    pub(super) finished: bool,
    /// The answer at hand is not that of our process.
    pub(super) impostor: bool,
    /// Calls before the word is closed.
    pub(super) racer: Option<usize>,
    /// Another host begins a use before the word is closed.
    pub(super) lends: bool,
    pub(super) clock: Time,
    pub(super) crashes: u8,
    pub(super) strangers: u8,
    pub(super) rivals: u8,
    pub(super) hosts: u8,
    pub(super) stops: u8,
    pub(super) retirements: u8,
    pub(super) dismissals: u8,
}

impl Hash for World {
    /// Of all that differs between the steps: what is always the same would take a third of the
    /// time.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let state = &self.state;
        state.stage.hash(hasher);
        state.waiters.hash(hasher);
        (state.failures, state.not_before).hash(hasher);
        self.word.hash(hasher);
        for client in self.clients {
            let Client { rounds, stands } = client;
            let (stands, run) = match stands {
                Stands::Idle => (0, 0),
                Stands::Asking => (1, 0),
                Stands::AskingAndLeaving => (2, 0),
                Stands::Waiting => (3, 0),
                Stands::Leaving => (4, 0),
                Stands::LeavingAnswered => (5, 0),
                Stands::Holding(run) => (6, run),
            };
            hasher.write_u64(run << 16 | stands << 8 | u64::from(rounds));
        }
        self.process.hash(hasher);
        self.endpoint.hash(hasher);
        (self.idle_since, self.alive_since, self.cut_from).hash(hasher);
        (self.lent, self.hosts).hash(hasher);
        let flags = [
            state.rival,
            state.abandoned,
            state.failed,
            self.spawning,
            self.probing,
            self.admits,
            self.lent_seen,
            self.woken,
            self.stop_waits,
            self.cut,
            self.handles_gone,
            self.finished,
        ];
        let flags = flags.iter().fold(0, |all, &it| all << 1 | u64::from(it));
        let left = [
            self.crashes,
            self.strangers,
            self.rivals,
            self.stops,
            self.retirements,
            self.dismissals,
        ];
        let all = left.iter().fold(flags, |all, &it| all << 8 | u64::from(it));
        hasher.write_u64(all);
    }
}

impl World {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let policy = Policy {
            ready_timeout: 40 * MS,
            idle_stop: Some(20 * MS),
            stop_timeout: 10 * MS,
            abandon_grace: Some(10 * MS),
            recheck: 30 * MS,
        };
        let client = |index| Client {
            rounds: if index < bounds.clients {
                bounds.rounds
            } else {
                0
            },
            stands: Stands::Idle,
        };
        Self {
            state: State::new(policy),
            word: Word::NEW,
            clients: std::array::from_fn(client),
            process: None,
            spawning: false,
            probing: false,
            endpoint: Endpoint::NotOurs,
            admits: false,
            lent: None,
            lent_seen: false,
            ports: bounds.ports,
            woken: false,
            idle_since: NOW,
            alive_since: NOW,
            stop_waits: false,
            cut: false,
            cut_from: None,
            handles_gone: false,
            finished: false,
            impostor: false,
            racer: None,
            lends: false,
            clock: NOW,
            crashes: bounds.crashes,
            strangers: bounds.strangers,
            rivals: bounds.rivals,
            hosts: bounds.hosts,
            stops: bounds.stops,
            retirements: bounds.retirements,
            dismissals: bounds.dismissals,
        }
    }

    /// Nobody waits twice at a time, and no number is used twice.
    pub(super) fn waiter(&self, index: usize) -> u64 {
        index as u64 * 256 + u64::from(self.clients[index].rounds)
    }

    pub(super) fn is_waited_for(&self) -> bool {
        let waits = |client: &Client| client.stands == Stands::Waiting;
        self.clients.iter().any(waits)
    }

    /// How many hold a lease of this run.
    pub(super) fn holders(&self, run: u64) -> usize {
        let holds = |client: &&Client| client.stands == Stands::Holding(run);
        self.clients.iter().filter(holds).count()
    }

    /// The process, while it can answer.
    pub(super) fn serves(&self) -> bool {
        self.process.is_some_and(|process| !process.dead)
    }
}
