//! A machine with its driver, its clients and all that may happen to it, as one value.

use std::hash::{Hash, Hasher};

use super::{Bounds, Duration, MS, SEC};
use crate::{
    bug::Bug,
    machine::{Machine, Policy, Time},
    word::Word,
};

/// After every step the clock is set back to this, so that states that differ by their age alone are one.
pub(super) const NOW: Time = Duration::from_secs(100);

pub(super) const SWAP_TIMEOUT: Duration = Duration::from_millis(30);
/// How long a retirement with a limit lets leases continue.
pub(super) const RETIRE_LIMIT: Duration = Duration::from_millis(5);

pub(super) const CLIENTS: usize = 2;

pub(super) fn policy(needs_room: bool, keep_ready: bool) -> Policy {
    Policy {
        ready_timeout: 40 * MS,
        idle_stop: Some(20 * MS),
        stop_timeout: 10 * MS,
        abandon_grace: Some(10 * MS),
        unresponsive_after: Some(10 * SEC),
        needs_room,
        keep_ready,
        stop_command: false,
        launcher: false,
        ready_request: false,
    }
}

fn policy_of(bounds: &Bounds) -> Policy {
    Policy {
        stop_command: bounds.command,
        launcher: bounds.launcher,
        ready_request: bounds.ready_request,
        ..policy(bounds.room, bounds.keep)
    }
}

/// What is under way beside the process.
#[derive(Clone, Copy, Debug, Default, Hash)]
pub(super) struct Launching {
    /// The ready request was sent.
    pub(super) asks: bool,
    /// The stop command runs.
    pub(super) commanding: bool,
}

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
    /// … and so is the message that it has given up already.
    AskingAndLeaving,
    Waiting,
    /// It has given up, which the machine does not know yet.
    Leaving,
    /// … and it was answered all the same.
    LeavingAnswered,
    /// It has a lease of this instance.
    Holding(u64),
    /// … and its body has ended with the connection: it waits to hear whether the body is complete.
    Confirming(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Process {
    /// The number that the leases of its instance have.
    pub(super) instance: u64,
    /// Its leader has ended.
    pub(super) dead: bool,
    /// … and the machine knows how.
    pub(super) told: bool,
    pub(super) terminated: bool,
    pub(super) killed: bool,
}

/// What cannot be shared: the port of the base URL, and where it differs that of the health URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Address {
    NotOurs,
    /// Some of it is still another service's. Others may wait already for what this service has of it.
    Asked {
        missing: u8,
        contested: u8,
    },
    /// A peer has it for the same server. `open`: that is ready, and the use is known to the peer.
    Guest {
        open: bool,
    },
    /// `contested`: at how many of its ports another service waits.
    Ours {
        contested: u8,
    },
}

/// What the process needs beside the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Room {
    NotOurs,
    Asked,
    Ours,
}

/// What another service that waits for what this one has has asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Told {
    Nothing,
    Wanted,
    /// It is closed.
    Contested,
}

#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct World {
    pub(super) machine: Machine,
    /// What is wrong with the machine, where the check itself is checked.
    pub(super) bug: &'static Bug,
    pub(super) word: Word,
    pub(super) clients: [Client; CLIENTS],
    pub(super) process: Option<Process>,
    pub(super) spawning: bool,
    /// A probe is under way.
    pub(super) probing: bool,
    /// … which counts only if our process answers.
    pub(super) wants_own: bool,
    pub(super) launching: Launching,
    /// A renewal of the use of a peer's server is under way.
    pub(super) renewing: bool,
    /// A connection to the address is under way.
    pub(super) knocking: bool,
    /// Requests that ended without an answer, which the machine does not know of.
    pub(super) unanswered: u32,
    pub(super) address: Address,
    pub(super) needs_room: bool,
    pub(super) room: Room,
    pub(super) told: Told,
    /// The other service waits to hear that no lease is out.
    pub(super) awaited: bool,
    /// It was told to make way.
    pub(super) makes_way: bool,
    /// How often it is still started without a request: it would be without end.
    pub(super) tries: u8,
    /// A peer knows that this program uses its server.
    pub(super) uses_peer: bool,
    /// The external server that is used is a peer's.
    pub(super) borrowed: bool,
    /// Peers may begin to use our server.
    pub(super) admits: bool,
    /// A peer uses what it takes for this instance.
    pub(super) lent: Option<u64>,
    /// … and the machine waits for the end of that.
    pub(super) lent_seen: bool,
    /// Of how many ports the address consists.
    pub(super) ports: u8,
    /// The last lease has ended, and the machine does not know yet.
    pub(super) woken: bool,
    pub(super) idle_since: Time,
    pub(super) alive_since: Time,
    /// A caller waits for a stop or a retirement.
    pub(super) stop_waits: bool,
    /// `stop()` was called on the present instance.
    pub(super) cut: bool,
    /// From then on, the present instance may be stopped under its leases.
    pub(super) cut_from: Option<Time>,
    pub(super) handles_gone: bool,
    pub(super) finished: bool,
    /// The answer at hand is not that of our process.
    pub(super) impostor: bool,
    /// Calls before the word is closed.
    pub(super) racer: Option<usize>,
    /// A peer begins a use before the word is closed.
    pub(super) lends: bool,
    /// Another program was seen to use the server, in the event at hand.
    pub(super) in_use: bool,
    /// Answers to the event at hand.
    pub(super) fed: usize,
    pub(super) clock: Time,
    pub(super) crashes: u8,
    pub(super) strangers: u8,
    pub(super) rivals: u8,
    pub(super) peers: u8,
    pub(super) stops: u8,
    pub(super) retirements: u8,
    pub(super) dismissals: u8,
    pub(super) bodies: u8,
    pub(super) silences: u8,
    pub(super) uses: u8,
}

impl Client {
    fn as_number(self) -> u64 {
        let (stands, instance) = match self.stands {
            Stands::Idle => (0, 0),
            Stands::Asking => (1, 0),
            Stands::AskingAndLeaving => (2, 0),
            Stands::Waiting => (3, 0),
            Stands::Leaving => (4, 0),
            Stands::LeavingAnswered => (5, 0),
            Stands::Holding(instance) => (6, instance),
            Stands::Confirming(instance) => (7, instance),
        };
        instance << 16 | stands << 8 | u64::from(self.rounds)
    }
}

impl Hash for World {
    /// Of all that differs between the steps: what is always the same would take a third of the time.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let common = &self.machine.common;
        self.machine.stage.hash(hasher);
        common.waiters.hash(hasher);
        common.last_answers.hash(hasher);
        (common.backoff.failures, common.backoff.not_before).hash(hasher);
        common.keeping.hash(hasher);
        self.word.hash(hasher);
        for client in self.clients {
            hasher.write_u64(client.as_number());
        }
        self.process.hash(hasher);
        (self.address, self.room, self.told, self.launching).hash(hasher);
        common.claimed_at.hash(hasher);
        (self.idle_since, self.alive_since, self.cut_from).hash(hasher);
        (
            self.lent,
            self.peers,
            self.bodies,
            self.silences,
            self.uses,
            self.unanswered,
        )
            .hash(hasher);
        let flags = [
            common.wanted,
            common.has_room,
            self.awaited,
            self.makes_way,
            common.retired,
            self.tries > 0,
            self.tries > 1,
            common.condemned,
            common.abandoned,
            common.backoff.failed,
            self.spawning,
            self.probing,
            self.wants_own,
            self.renewing,
            self.knocking,
            self.uses_peer,
            self.borrowed,
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
        ];
        let all = left.iter().fold(flags, |all, &it| all << 8 | u64::from(it));
        hasher.write_u64(all);
        hasher.write_u8(self.dismissals);
    }
}

impl World {
    pub(super) fn new(bounds: &Bounds, bug: &'static Bug) -> Self {
        let client = |index| Client {
            rounds: if index < bounds.clients {
                bounds.rounds
            } else {
                0
            },
            stands: Stands::Idle,
        };
        Self {
            machine: Machine::new(policy_of(bounds)),
            bug,
            word: Word::NEW,
            clients: std::array::from_fn(client),
            process: None,
            spawning: false,
            probing: false,
            wants_own: false,
            launching: Launching::default(),
            renewing: false,
            knocking: false,
            unanswered: 0,
            address: Address::NotOurs,
            needs_room: bounds.room,
            room: Room::NotOurs,
            told: Told::Nothing,
            awaited: false,
            makes_way: false,
            tries: 2 * u8::from(bounds.keep),
            uses_peer: false,
            borrowed: false,
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
            in_use: false,
            fed: 0,
            clock: NOW,
            crashes: bounds.crashes,
            strangers: bounds.strangers,
            rivals: bounds.rivals,
            peers: bounds.peers,
            stops: bounds.stops,
            retirements: bounds.retirements,
            dismissals: bounds.dismissals,
            bodies: bounds.bodies,
            silences: bounds.silences,
            uses: bounds.uses,
        }
    }

    /// No client waits twice at a time, and no number is used twice.
    pub(super) fn waiter(&self, index: usize) -> u64 {
        index as u64 * 256 + u64::from(self.clients[index].rounds)
    }

    pub(super) fn is_waited_for(&self) -> bool {
        let waits =
            |client: &Client| matches!(client.stands, Stands::Waiting | Stands::Confirming(_));
        self.clients.iter().any(waits)
    }

    /// How many hold a lease of this instance.
    pub(super) fn holders(&self, instance: u64) -> usize {
        let holds = |client: &&Client| client.holds() == Some(instance);
        self.clients.iter().filter(holds).count()
    }

    /// The process, while it can answer.
    pub(super) fn serves(&self) -> bool {
        self.process.is_some_and(|process| !process.dead)
    }
}

impl Client {
    /// The instance that it has a lease of.
    pub(super) fn holds(self) -> Option<u64> {
        match self.stands {
            Stands::Holding(instance) | Stands::Confirming(instance) => Some(instance),
            _ => None,
        }
    }
}
