//! How the programs that use a workload agree when it is scaled up and down. It asks for calls to the API server and takes
//! their replies; it makes none itself.
//!
//! ```text
//!              join                                            leave
//! Resting ──▶ Reading ──▶ Saying ──▶ Touching ──▶ In ⇄ Renewing ──▶ Unsaying ──▶ Looking ──▶ Listing ──▶ ScalingDown
//!    ▲           │                      │ ▲ at 0                                  │ ▲          │ used        │ │ conflict
//!    │           ▼ not of programs      ▼ │ conflict: Reading                     ▼ └──────────┴─────────────┼─┘
//!    │        Standing::External     ScalingUp                                 Resting                       ▼
//!    └──────────────────────────────────────────────────────────────────────────────────────────────────── Forgetting
//! ```
//!
//! Each program that uses the workload says so in an object of its own, a *Lease*, which it renews. A program that scales
//! down reads the workload, *then* lists the Leases, and scales down only the version that it has read. A program that
//! joins says so first, *then* changes the version of the workload, and looks at the replicas of what it has changed. So
//! either the list has the Lease of the program that joins, or the version is another one, or the program that joins sees no
//! replicas and scales up.
//!
//! A program that dies leaves its Lease. No clock is compared: a Lease counts no more when it was *seen* unchanged for as
//! long as it is valid, by reads of which none failed and none came late. A program that could not renew its Lease for so long
//! begins to use the workload once more, as one that joins.
//!
//! After it has left, a program looks after the workload from time to time: the last user may have died.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, time::Duration};

/// Since any moment, on a clock that only moves forward.
pub(crate) type Time = Duration;

/// A version of an object. It is only compared for equality.
pub(crate) type Version = String;

/// The longest pause between two looks of a program that does not use the workload.
pub(crate) const REST: Duration = Duration::from_secs(600);
/// The pauses before a call that failed is made again: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// What is asked of the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// Reads the workload, in its newest version.
    Read,
    /// Creates the Lease of this program, or renews it.
    Say,
    /// Changes the version of the workload, and nothing else of it.
    Touch,
    /// Scales from zero, if the workload has this version.
    ScaleUp(Version),
    /// Deletes the Lease of this program.
    Unsay,
    /// Lists the Leases of the other programs, in their newest versions.
    List,
    /// Scales to zero, if the workload has this version.
    ScaleDown(Version),
    /// Deletes the Lease of a program that died, if it has this version.
    Forget(String, Version),
}

/// What the API server says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    /// To `Read`, `Touch`, `ScaleUp` and `ScaleDown`.
    Workload(Workload),
    /// To `ScaleUp` and `ScaleDown`: the version is another one. To `Forget`: that one lives.
    Conflict,
    /// To `Say`: whether there was none.
    Said { is_new: bool },
    /// To `List`.
    Leases(Vec<Lease>),
    /// To `Unsay` and `Forget`.
    Done,
    /// Nothing is known: it may have been done, too.
    Failed,
}

/// The workload as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Workload {
    pub(crate) version: Version,
    pub(crate) replicas: u32,
    /// A program of this crate has scaled it to that.
    pub(crate) is_ours: bool,
}

/// The Lease of another program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) name: String,
    pub(crate) version: Version,
    /// How long it is valid after each renewal.
    pub(crate) deadline: Duration,
}

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Call(Call),
    Wait { until: Time },
}

/// What the workload is to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    /// It does not use it.
    Out,
    Joining,
    /// It uses it. It was at zero when the program joined, or was scaled up by another program of this crate.
    In,
    /// Others have scaled it, and it uses it as it is.
    External,
    /// It used it, and the workload was scaled to zero under it.
    Lost,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Looks after the workload at that time.
    Resting {
        until: Time,
    },
    Reading,
    Saying,
    Touching,
    ScalingUp(Version),
    In,
    Renewing,
    External,
    Unsaying,
    Looking,
    Listing(Version),
    ScalingDown(Version),
    Forgetting(Lease),
}

/// One program and one workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Program {
    deadline: Duration,
    /// A part of each pause, of 1000, so that programs do not look at the same time.
    spread: u32,
    is_wanted: bool,
    standing: Standing,
    stage: Stage,
    /// There may be a Lease of this program.
    has_said: bool,
    /// Since it has said so, it has changed the version of the workload.
    has_touched: bool,
    /// When the last renewal was sent that succeeded.
    said_at: Time,
    /// When the call that is under way was sent.
    sent_at: Time,
    /// Since when the same version of another program's Lease is seen.
    seen: BTreeMap<String, (Version, Time)>,
    listed_at: Time,
    /// Of programs that died, and are still to be deleted.
    dead: Vec<Lease>,
    /// How long it rests after the next look.
    rest: Duration,
    retry_at: Time,
    failures: u32,
}

impl Program {
    /// A program that does not use the workload. Its Lease is valid for `deadline` after each renewal. `spread` is at most
    /// 1000.
    pub(crate) fn new(deadline: Duration, spread: u32) -> Self {
        Self {
            deadline,
            spread,
            is_wanted: false,
            standing: Standing::Out,
            stage: Stage::Resting { until: Time::MAX },
            has_said: false,
            has_touched: false,
            said_at: Time::ZERO,
            sent_at: Time::ZERO,
            seen: BTreeMap::new(),
            listed_at: Time::ZERO,
            dead: Vec::new(),
            rest: deadline,
            retry_at: Time::ZERO,
            failures: 0,
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing
    }

    /// The program wants to use the workload. A call that is under way is answered first.
    pub(crate) fn join(&mut self) {
        self.is_wanted = true;
        self.standing = Standing::Joining;
        self.seen.clear();
        (self.retry_at, self.failures) = (Time::ZERO, 0);
        if matches!(self.stage, Stage::Resting { .. }) {
            self.stage = Stage::Reading;
        }
    }

    /// The program uses it no more. A call that is under way is answered first.
    pub(crate) fn leave(&mut self) {
        self.is_wanted = false;
        self.standing = Standing::Out;
        (self.retry_at, self.failures) = (Time::ZERO, 0);
        self.rest = self.deadline;
        if matches!(self.stage, Stage::In | Stage::External) {
            self.stage = self.left();
        }
    }

    /// What to do now. It is the same until the reply comes.
    pub(crate) fn step(&mut self, now: Time) -> Step {
        let until = match &self.stage {
            Stage::Resting { until } => *until,
            Stage::In => self.said_at + self.paused(self.deadline / 3),
            Stage::External => Time::MAX,
            _ => Time::ZERO,
        };
        let until = until.max(self.retry_at);
        if until > now {
            return Step::Wait { until };
        }
        match self.stage {
            Stage::Resting { .. } => self.stage = Stage::Looking,
            Stage::In => self.stage = Stage::Renewing,
            _ => {}
        }
        self.sent_at = now;
        self.has_said |= matches!(self.stage, Stage::Saying);
        Step::Call(self.call())
    }

    fn call(&self) -> Call {
        match &self.stage {
            Stage::Reading | Stage::Looking | Stage::Resting { .. } | Stage::External => Call::Read,
            Stage::Saying | Stage::Renewing | Stage::In => Call::Say,
            Stage::Touching => Call::Touch,
            Stage::ScalingUp(version) => Call::ScaleUp(version.clone()),
            Stage::Unsaying => Call::Unsay,
            Stage::Listing(_) => Call::List,
            Stage::ScalingDown(version) => Call::ScaleDown(version.clone()),
            Stage::Forgetting(dead) => Call::Forget(dead.name.clone(), dead.version.clone()),
        }
    }

    /// The reply to the call of the last step.
    pub(crate) fn replied(&mut self, reply: Reply, now: Time) {
        self.failures = match reply {
            Reply::Failed => self.failures.saturating_add(1),
            _ => 0,
        };
        if self.failures > 0 {
            self.retry_at = now + self.retry_pause();
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Looking);
        let next = self.after(stage, reply, now);
        self.stage = match (self.is_wanted, next.is_of_a_user()) {
            (true, false) => Stage::Reading,
            (false, true) => self.left(),
            _ => next,
        };
    }

    fn after(&mut self, stage: Stage, reply: Reply, now: Time) -> Stage {
        match (stage, reply) {
            (Stage::Reading | Stage::ScalingUp(_), Reply::Workload(workload)) => {
                self.read(workload, now)
            }
            (Stage::Saying, Reply::Said { .. }) => {
                self.said_at = self.sent_at;
                self.has_touched = false;
                Stage::Touching
            }
            (Stage::Touching, Reply::Workload(workload)) => {
                self.has_touched = true;
                self.read(workload, now)
            }
            // Another program has scaled it up, or its state has changed.
            (Stage::ScalingUp(_), _) => Stage::Reading,
            (Stage::Renewing, Reply::Said { is_new }) => self.renewed(is_new, now),
            (Stage::Unsaying, Reply::Done) => {
                self.has_said = false;
                Stage::Looking
            }
            (Stage::Looking, Reply::Workload(workload)) if !workload.is_of_programs() => {
                self.seen.clear();
                self.rests_after(REST, now)
            }
            (Stage::Looking, Reply::Workload(workload)) => Stage::Listing(workload.version),
            (Stage::Listing(version), Reply::Leases(leases)) => self.listed(version, leases, now),
            (Stage::ScalingDown(_), Reply::Workload(_))
            | (Stage::Forgetting(_), Reply::Done | Reply::Conflict) => match self.dead.pop() {
                Some(dead) => Stage::Forgetting(dead),
                None => self.rests_after(REST, now),
            },
            (Stage::Listing(_) | Stage::Looking | Stage::ScalingDown(_), _) => {
                // It is not known what was missed.
                self.seen.clear();
                Stage::Looking
            }
            (stage, _) => stage,
        }
    }

    /// What follows from the workload for a program that wants to use it.
    fn read(&mut self, workload: Workload, now: Time) -> Stage {
        if workload.replicas > 0 && !workload.is_ours {
            self.stands(Standing::External);
            return Stage::External;
        }
        if !self.has_touched || !self.has_said || self.is_late(now) {
            return Stage::Saying;
        }
        if workload.replicas > 0 {
            self.stands(Standing::In);
            return Stage::In;
        }
        if self.standing != Standing::In {
            return Stage::ScalingUp(workload.version);
        }
        self.is_wanted = false;
        self.standing = Standing::Lost;
        self.left()
    }

    fn renewed(&mut self, is_new: bool, now: Time) -> Stage {
        // Another program may have taken it for the Lease of one that died.
        let is_late = is_new || self.is_late(now);
        self.said_at = self.sent_at;
        if is_late {
            self.has_touched = false;
            return Stage::Touching;
        }
        Stage::In
    }

    fn stands(&mut self, standing: Standing) {
        if self.is_wanted {
            self.standing = standing;
        }
    }

    /// Whether its last renewal may be too old for others. A tenth is for clocks that run at different speeds.
    fn is_late(&self, now: Time) -> bool {
        now > self.said_at + self.deadline * 9 / 10
    }

    /// It does not use the workload any more.
    fn left(&mut self) -> Stage {
        self.has_touched = false;
        self.seen.clear();
        if self.has_said {
            Stage::Unsaying
        } else {
            Stage::Looking
        }
    }

    /// Judges whether the programs live that say that they use the workload.
    fn listed(&mut self, version: Version, leases: Vec<Lease>, now: Time) -> Stage {
        let shortest = leases.iter().map(|lease| lease.deadline).min();
        let shortest = shortest.unwrap_or(self.deadline);
        if self.sent_at > self.listed_at + shortest / 2 {
            self.seen.clear();
        }
        self.listed_at = self.sent_at;
        let mut before = std::mem::take(&mut self.seen);
        let (mut dead, mut lives, mut is_open) = (Vec::new(), false, false);
        for lease in leases {
            let since = match before.remove(&lease.name) {
                Some((version, since)) if version == lease.version => since,
                changed => {
                    lives |= changed.is_some();
                    now
                }
            };
            let seen = (lease.version.clone(), since);
            self.seen.insert(lease.name.clone(), seen);
            if self.sent_at >= since + lease.deadline {
                dead.push(lease);
            } else {
                is_open = true;
            }
        }
        if !is_open {
            self.dead = dead;
            return Stage::ScalingDown(version);
        }
        if !lives {
            return self.rests_after(shortest / 3, now);
        }
        self.seen.clear();
        let rest = self.rest;
        self.rest = (rest * 2).min(REST);
        self.rests_after(rest, now)
    }

    fn rests_after(&self, pause: Duration, now: Time) -> Stage {
        Stage::Resting {
            until: now + self.paused(pause),
        }
    }

    fn paused(&self, pause: Duration) -> Duration {
        pause * self.spread / 1000
    }

    fn retry_pause(&self) -> Duration {
        let (first, mut longest) = RETRY;
        if self.stage == Stage::Renewing {
            // It is not to be late because the one before it failed.
            longest = longest.min(self.deadline / 12);
        }
        let doubled = first * 2_u32.pow((self.failures - 1).min(16));
        self.paused(doubled.min(longest))
    }
}

impl Workload {
    /// It runs because programs of this crate have scaled it up.
    fn is_of_programs(&self) -> bool {
        self.replicas > 0 && self.is_ours
    }
}

impl Stage {
    fn is_of_a_user(&self) -> bool {
        matches!(
            self,
            Self::Reading
                | Self::Saying
                | Self::Touching
                | Self::ScalingUp(_)
                | Self::In
                | Self::Renewing
                | Self::External
        )
    }
}
