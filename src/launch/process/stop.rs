//! Ends a run: asks, forces, and waits until nothing of it is left.

use std::{sync::Arc, time::Duration};

use rustix::process::Signal;
use tokio::{
    sync::oneshot,
    time::{self, Instant},
};

use super::{
    Process, blocking, os,
    strays::{Carrier, Order, Scope, Strays},
};

/// The pauses between two looks at who is left.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Reading the environment of all processes costs milliseconds.
const BETWEEN_SWEEPS: Duration = Duration::from_millis(100);

/// A stopped process takes no other signal than KILL until it is continued.
const TERM: &[Signal] = &[Signal::TERM, Signal::CONT];
const KILL: &[Signal] = &[Signal::KILL];

impl Process {
    /// Asks the whole group to end, and everything that left it. Asked again, it asks all again.
    pub(crate) fn terminate(&mut self) {
        let mut pinned = true;
        for signal in TERM {
            pinned = self.group.signal(*signal);
        }
        self.order(TERM, pinned);
    }

    /// Kills the whole group, and everything that left it.
    pub(crate) fn kill(&mut self) {
        let pinned = self.group.kill();
        self.order(KILL, pinned);
    }

    /// Kills unless that has been done.
    pub(super) fn kill_once(&mut self) {
        if !self.search.killed() {
            self.kill();
        }
    }

    /// Resolves when nothing of the run is left: leader and guardian are reaped, and neither a member
    /// of the group nor a stray is more than a zombie.
    ///
    /// It ends nothing that runs: that is for [`terminate`](Self::terminate) and
    /// [`kill`](Self::kill). A process that survives even the latter keeps it waiting.
    ///
    /// # Cancel safety
    ///
    /// May be dropped and called again.
    pub(crate) async fn gone(&mut self) {
        self.ended().await;
        let mut pause = SHORTEST_PAUSE;
        while !self.nobody_left().await {
            time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        self.group.reap().await;
    }

    async fn nobody_left(&mut self) -> bool {
        match self.search.group_is_empty() {
            Some(false) if self.search.pinned => return false,
            // Where signals to the group did not reach it, its members are told one by one below.
            Some(_) => {}
            // Nobody tells who is in the group. What still runs most likely holds the pipes; what
            // does not is killed with the guardian.
            None if self.search.killed() => {}
            None => self.pipes.ended().await,
        }
        self.search.nobody_found(&self.strays).await
    }

    fn order(&mut self, signals: &'static [Signal], pinned: bool) {
        let sweep = self.search.order(&self.strays, signals, pinned);
        drop(sweep.start());
    }
}

/// What a stop knows about who is left.
pub(super) struct Search {
    group: u32,
    strays_too: bool,
    order: Option<Order>,
    /// Whether signals to the group reach it.
    pinned: bool,
    // Those found by the last look at all processes. While one of them lives, another such look
    // would tell nothing.
    members: Vec<u32>,
    strays: Vec<Carrier>,
    swept: Option<Instant>,
}

impl Search {
    pub(super) fn new(group: u32, strays_too: bool) -> Self {
        Self {
            group,
            strays_too,
            order: None,
            pinned: true,
            members: Vec::new(),
            strays: Vec::new(),
            swept: None,
        }
    }

    /// The sweep of a process that is dropped.
    pub(super) fn last_sweep(&mut self, strays: &Arc<Strays>, pinned: bool) -> Sweep {
        self.order(strays, KILL, pinned)
    }

    fn killed(&self) -> bool {
        self.order.is_some_and(|order| order.signals == KILL)
    }

    fn order(&mut self, strays: &Arc<Strays>, signals: &'static [Signal], pinned: bool) -> Sweep {
        let round = self.order.map_or(0, |order| order.round) + 1;
        self.order = Some(Order { signals, round });
        self.pinned = pinned;
        self.sweep(strays)
    }

    fn sweep(&self, strays: &Arc<Strays>) -> Sweep {
        Sweep {
            strays: Arc::clone(strays),
            scope: Scope {
                group: self.group,
                inside: !self.pinned,
                outside: self.strays_too,
            },
            order: self.order,
        }
    }

    /// Whether the group has no member but the guardian; `None` where the system does not tell.
    fn group_is_empty(&mut self) -> Option<bool> {
        let group = self.group;
        self.members.retain(|pid| os::is_member(*pid, group));
        if self.members.is_empty() {
            self.members = os::members(group)?;
        }
        Some(self.members.is_empty())
    }

    async fn nobody_found(&mut self, strays: &Arc<Strays>) -> bool {
        self.strays.retain(|stray| os::lives(*stray));
        if !self.strays.is_empty() {
            return false;
        }
        if let Some(swept) = self.swept {
            time::sleep_until(swept + BETWEEN_SWEEPS).await;
        }
        self.strays = self.sweep(strays).run().await;
        self.swept = Some(Instant::now());
        // A process can leave the group while the strays are looked for.
        self.strays.is_empty() && self.group_is_empty() != Some(false)
    }
}

/// One look for strays, ready to be made where blocking is allowed.
#[derive(Clone)]
pub(super) struct Sweep {
    strays: Arc<Strays>,
    scope: Scope,
    order: Option<Order>,
}

impl Sweep {
    /// Makes it, and says who was found. May block.
    pub(super) fn make(self) -> Vec<Carrier> {
        if self.is_needless() {
            return Vec::new();
        }
        self.strays.sweep(self.scope, self.order)
    }

    /// Makes it, and says who was found.
    async fn run(self) -> Vec<Carrier> {
        match self.start() {
            Some(found) => found.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }

    /// Has it made, whoever waits; `None` if there is nobody to be found.
    fn start(self) -> Option<oneshot::Receiver<Vec<Carrier>>> {
        if self.is_needless() {
            return None;
        }
        let sweep = self.clone();
        let found = blocking::begin(|| sweep.make()).unwrap_or_else(|_| {
            // No thread is left. Some milliseconds on this one are better than a stray.
            let (done, found) = oneshot::channel();
            drop(done.send(self.make()));
            found
        });
        Some(found)
    }

    fn is_needless(&self) -> bool {
        !self.scope.inside && !self.scope.outside
    }
}
