//! What holds of every journal: judged from events and actions alone.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use super::{Failures, Violation, ensure};
use crate::machine::{
    Action, Claim, Event, Exited, InstanceEnd, Machine, Phase, Policy, Time, Want,
};

/// How long what was killed may take to be gone.
pub(super) const KILL_TIMEOUT: Duration = Duration::from_secs(2);
/// An instance that was healthy for so long is no failed one, however it ends.
const PROVEN: Duration = Duration::from_secs(60);
/// How long a request may wait for an answer of a process of which nothing is left.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// What is known of a service from what happened to it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Promises {
    pub(super) policy: Policy,
    pub(super) waiters: BTreeMap<u64, Waiter>,
    pub(super) claim: Standing,
    pub(super) room: Room,
    /// It was told to make way.
    pub(super) makes_way: bool,
    pub(super) spawning: bool,
    pub(super) process: Option<Process>,
    pub(super) instance: Option<Instance>,
    pub(super) failures: Failures,
    /// How the last process ended by itself, and whether that makes its instance a failed one.
    pub(super) last_exit: Option<(Exited, bool)>,
    phase: Phase,
    /// How often it was started on this claim.
    pub(super) spawns: u8,
    /// Since when the owned process loads and no caller waits for it.
    pub(super) alone_since: Option<Time>,
    /// Since when an external server is waited for.
    pub(super) looking_since: Time,
    /// `stop()` was called on the present instance, or the limit of a retirement is this.
    pub(super) cut_from: Option<Time>,
    pub(super) retired: bool,
    pub(super) stop_waits: bool,
    pub(super) handles_gone: bool,
    pub(super) finished: bool,
    /// Bodies that wait to hear whether they are complete.
    pub(super) bodies: BTreeSet<u64>,
    /// When the wait for the answers of past instances is over.
    pub(super) answers: VecDeque<Time>,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) handle: u64,
    pub(super) want: Want,
    pub(super) since: Time,
    pub(super) swap_timeout: Duration,
}

/// How the claim on the address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    NotOurs,
    Asked,
    Guest,
    Ours { told: Told },
}

/// What another service that waits has asked of the instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    Wanted,
    Contested,
}

/// How the claim on what is needed beside the address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    NotOurs,
    Asked,
    Ours,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) since: Time,
    /// It has ended, and how is not known yet.
    pub(super) dying: bool,
    pub(super) exited: Option<Exited>,
    /// When the stop command was begun, and how long it has.
    pub(super) commanded: Option<(Time, Duration)>,
    /// When the first TERM came, and how long it gives.
    pub(super) terminated: Option<(Time, Duration)>,
    pub(super) killed: Option<Time>,
    /// How its instance ended: no lease of it counts any more.
    pub(super) ended: Option<InstanceEnd>,
}

/// Leases are given out, or were until it closed.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) owned: bool,
    pub(super) since: Time,
    pub(super) open: bool,
}

impl Promises {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            policy,
            waiters: BTreeMap::new(),
            claim: Standing::NotOurs,
            room: Room::NotOurs,
            makes_way: false,
            spawning: false,
            process: None,
            instance: None,
            failures: Failures::default(),
            last_exit: None,
            phase: Phase::Stopped,
            spawns: 0,
            alone_since: None,
            looking_since: Time::ZERO,
            cut_from: None,
            retired: false,
            stop_waits: false,
            handles_gone: false,
            finished: false,
            bodies: BTreeSet::new(),
            answers: VecDeque::new(),
        }
    }

    /// The machine took the event, asked for the actions, and is now in this state.
    pub(crate) fn judge(
        &mut self,
        event: &Event,
        actions: &[Action],
        now: Time,
        machine: &Machine,
    ) -> Result<(), Violation> {
        ensure(!self.finished, "something after the end")?;
        let asked = self.claim == Standing::Asked;
        self.happened(event, now);
        for action in actions {
            self.act(action, event, now)
                .map_err(|violation| format!("{violation}: {action:?}"))?;
        }
        if let Event::Dismissed { handle } = event {
            let waits = self.waiters.values().any(|it| it.handle == *handle);
            ensure(!waits, "who was sent away still waits")?;
        }
        // Another program's server took the place of the owned one, and is given its time.
        let was = std::mem::replace(&mut self.phase, machine.phase());
        let granted = asked && matches!(event, Event::Claim(Claim::Owner | Claim::Guest { .. }));
        if self.phase == Phase::Starting && (was == Phase::Stopping || granted) {
            self.looking_since = now;
        }
        let loads = self.phase == Phase::Starting && self.process.is_some();
        let is_alone = loads && self.waiters.is_empty();
        self.alone_since = is_alone.then(|| self.alone_since.unwrap_or(now));
        self.agrees_with(machine)
    }

    fn happened(&mut self, event: &Event, now: Time) {
        match event {
            Event::Asked { waiter, ask, .. } => {
                if ask.want == Want::Start {
                    self.failures.forgive();
                }
                let waiting = Waiter {
                    handle: ask.handle,
                    want: ask.want,
                    since: now,
                    swap_timeout: ask.swap_timeout,
                };
                self.waiters.insert(*waiter, waiting);
            }
            Event::Left { waiter } => _ = self.waiters.remove(waiter),
            Event::StopAsked => {
                self.failures.forgive();
                self.stop_waits = true;
                if self.process.is_some() || self.spawning {
                    self.cut_from = Some(now);
                }
            }
            Event::RetireAsked { limit } => {
                self.stop_waits = true;
                self.retired = true;
                let until = limit.map(|limit| now + limit);
                self.cut_from = [self.cut_from, until].into_iter().flatten().min();
            }
            Event::HandlesGone => {
                self.handles_gone = true;
                self.retired = true;
            }
            Event::PolicyChanged(policy) => self.policy = *policy,
            Event::BodyEnded { body } => _ = self.bodies.insert(*body),
            Event::Claim(claim) => self.claimed(*claim),
            _ => self.happened_to_what_runs(event, now),
        }
    }

    fn claimed(&mut self, claim: Claim) {
        let told = |told| Standing::Ours { told };
        let owned = self.instance.as_ref().is_some_and(|it| it.owned);
        let serves = owned && self.phase == Phase::Ready;
        self.claim = match claim {
            Claim::Owner | Claim::Uncontested => told(Told::Nothing),
            Claim::Wanted if serves => told(Told::Wanted),
            Claim::Contested if serves => told(Told::Contested),
            Claim::Leave => {
                self.makes_way = true;
                if let Some(instance) = &mut self.instance {
                    instance.open = false;
                }
                self.claim
            }
            Claim::Room => {
                self.room = Room::Ours;
                self.claim
            }
            // The answer to a renewed use.
            Claim::Guest { .. } if self.claim == Standing::NotOurs => Standing::NotOurs,
            Claim::Guest { .. } => Standing::Guest,
            Claim::Rival => Standing::Asked,
            _ => self.claim,
        };
    }

    fn happened_to_what_runs(&mut self, event: &Event, now: Time) {
        match event {
            Event::Spawned => {
                self.spawning = false;
                self.process = Some(Process {
                    since: now,
                    dying: false,
                    exited: None,
                    commanded: None,
                    terminated: None,
                    killed: None,
                    ended: None,
                });
            }
            Event::SpawnFailed { .. } => self.spawning = false,
            Event::Exited(exited) => {
                if let Standing::Ours { told } = &mut self.claim {
                    *told = Told::Nothing;
                }
                if let Some(process) = &mut self.process {
                    process.exited = Some(*exited);
                }
                let since = self
                    .instance
                    .as_ref()
                    .map_or(now, |instance| instance.since);
                let failed = !exited.served && now.saturating_sub(since) < PROVEN;
                self.last_exit = Some((*exited, failed));
            }
            Event::Dying => {
                if let Some(process) = &mut self.process {
                    process.dying = true;
                }
            }
            Event::Gone { unread } => {
                self.process = None;
                if *unread {
                    self.answers.push_back(now + LAST_ANSWERS);
                }
            }
            Event::Closed => {
                if let Some(instance) = &mut self.instance {
                    instance.open = false;
                }
            }
            _ => {}
        }
    }
}
