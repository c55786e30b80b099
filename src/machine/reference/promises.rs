//! What holds of every journal: judged from events and actions, as somebody would who reads them.

use std::{collections::BTreeMap, time::Duration};

use super::{Failures, Violation, ensure};
use crate::machine::{
    Action, Claim, End, Event, Exited, Ownership, Phase, Policy, State, Time, Want,
};

/// How long what was killed may take to be gone.
pub(super) const KILL_TIMEOUT: Duration = Duration::from_secs(2);
/// A run that was healthy for so long is no failed one, however it ends.
const PROVEN: Duration = Duration::from_secs(60);

/// What is known of a service from what happened to it.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Promises {
    pub(super) policy: Policy,
    pub(super) waiters: BTreeMap<u64, Waiter>,
    pub(super) claim: Standing,
    pub(super) spawning: bool,
    pub(super) process: Option<Process>,
    pub(super) run: Option<Run>,
    pub(super) failures: Failures,
    /// How the last process ended by itself, and whether that makes its run a failed one.
    pub(super) last_exit: Option<(Exited, bool)>,
    phase: Phase,
    /// How often it was started on this claim.
    pub(super) spawns: u8,
    /// Since when our process loads and nobody waits for it.
    pub(super) alone_since: Option<Time>,
    /// Since when somebody else's server is waited for.
    pub(super) looking_since: Time,
    /// `stop()` was called on what runs now, or the limit of a retirement is this.
    pub(super) cut_from: Option<Time>,
    pub(super) retired: bool,
    pub(super) stop_waits: bool,
    pub(super) handles_gone: bool,
    pub(super) finished: bool,
}

#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) handle: u64,
    pub(super) want: Want,
    pub(super) since: Time,
    pub(super) swap_timeout: Duration,
}

/// How the claim on the endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    NotOurs,
    Asked,
    Ours { wanted: bool },
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) since: Time,
    pub(super) exited: Option<Exited>,
    /// When the first TERM came, and how long it gives.
    pub(super) terminated: Option<(Time, Duration)>,
    pub(super) killed: Option<Time>,
    /// How its run ended: no lease of it counts any more.
    pub(super) ended: Option<End>,
}

/// Leases are given out, or were until it closed.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) ownership: Ownership,
    pub(super) since: Time,
    pub(super) open: bool,
}

impl Promises {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            policy,
            waiters: BTreeMap::new(),
            claim: Standing::NotOurs,
            spawning: false,
            process: None,
            run: None,
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
        }
    }

    /// The machine took the event, asked for the actions, and is now in this state.
    pub(super) fn judge(
        &mut self,
        event: &Event,
        actions: &[Action],
        now: Time,
        state: &State,
    ) -> Result<(), Violation> {
        ensure(!self.finished, "something after the end")?;
        self.happened(event, now);
        for action in actions {
            self.act(action, event, now)
                .map_err(|violation| format!("{violation}: {action:?}"))?;
        }
        if let Event::Dismissed { handle } = event {
            let waits = self.waiters.values().any(|it| it.handle == *handle);
            ensure(!waits, "who was sent away still waits")?;
        }
        // Somebody else's server took the place of ours, and is given its time.
        let was = std::mem::replace(&mut self.phase, state.phase());
        let granted = matches!(event, Event::Claim(Claim::Granted));
        if self.phase == Phase::Starting && (was == Phase::Stopping || granted) {
            self.looking_since = now;
        }
        let loads = self.phase == Phase::Starting && self.process.is_some();
        let is_alone = loads && self.waiters.is_empty();
        self.alone_since = is_alone.then(|| self.alone_since.unwrap_or(now));
        self.agrees_with(state)
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
            Event::Claim(claim) => {
                self.claim = match claim {
                    Claim::Granted | Claim::Unwanted => Standing::Ours { wanted: false },
                    Claim::Wanted | Claim::Lost => Standing::Ours { wanted: true },
                    Claim::Refused => Standing::NotOurs,
                };
            }
            _ => self.happened_to_what_runs(event, now),
        }
    }

    fn happened_to_what_runs(&mut self, event: &Event, now: Time) {
        match event {
            Event::Spawned => {
                self.spawning = false;
                self.process = Some(Process {
                    since: now,
                    exited: None,
                    terminated: None,
                    killed: None,
                    ended: None,
                });
            }
            Event::SpawnFailed { .. } => self.spawning = false,
            Event::Exited(exited) => {
                if let Some(process) = &mut self.process {
                    process.exited = Some(*exited);
                }
                let since = self.run.as_ref().map_or(now, |run| run.since);
                let failed = !exited.served && now.saturating_sub(since) < PROVEN;
                self.last_exit = Some((*exited, failed));
            }
            Event::Gone => self.process = None,
            Event::Closed => {
                if let Some(run) = &mut self.run {
                    run.open = false;
                }
            }
            _ => {}
        }
    }
}
