//! Descendants of a service that signals to its process group do not reach.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use rustix::process::Signal;
use tokio::sync::oneshot;

use super::{
    blocking,
    family::{Descendant, Family},
    os,
};

/// Finds the descendants of one instance that a signal to its group does not reach, and sends each of
/// them the signals of the last stop, once.
#[derive(Clone)]
pub(super) struct Sweep {
    family: Arc<Family>,
    /// Whether to look for descendants that have left the group.
    stop_detached: bool,
    /// Whether signals to the group reach its members. If not, the sweep looks for members, too.
    reaches_group: bool,
    signals: &'static [Signal],
    /// How often signals were ordered.
    round: u32,
    /// The last round of which each descendant has received the signals.
    signalled: Arc<Mutex<HashMap<Descendant, u32>>>,
}

impl Sweep {
    pub(super) fn new(family: Family, stop_detached: bool) -> Self {
        Self {
            family: Arc::new(family),
            stop_detached,
            reaches_group: true,
            signals: &[],
            round: 0,
            signalled: Arc::default(),
        }
    }

    pub(super) fn family(&self) -> &Arc<Family> {
        &self.family
    }

    pub(super) fn group(&self) -> u32 {
        self.family.group()
    }

    /// Remembers the descendants before a signal ends the parents by which they are known.
    pub(super) fn prepare(&self, is_pinned: bool) {
        if self.stop_detached {
            self.family.remember(is_pinned);
        }
    }

    pub(super) fn reaches_group(&self) -> bool {
        self.reaches_group
    }

    /// The signals that were ordered last; none before the first order.
    pub(super) fn signals(&self) -> &'static [Signal] {
        self.signals
    }

    /// From here on, sweeps send these signals, also to descendants that have received others.
    pub(super) fn order(&mut self, signals: &'static [Signal], reaches_group: bool) {
        self.signals = signals;
        self.reaches_group = reaches_group;
        self.round += 1;
    }

    /// Begins a sweep, which runs to its end whether or not anything waits for it; `None` if there is
    /// nothing to look for. Resolves to the descendants that were found.
    pub(super) fn begin(&self) -> Option<oneshot::Receiver<Vec<Descendant>>> {
        let is_needed = self.stop_detached || !self.reaches_group;
        let sweep = self.clone();
        is_needed.then(|| blocking::begin_or_do(move || sweep.run()))
    }

    /// Sweeps, and returns the descendants that were found. Blocks for milliseconds: it reads the
    /// environment of every process of this user.
    pub(super) fn run(&self) -> Vec<Descendant> {
        if !self.stop_detached && self.reaches_group {
            return Vec::new();
        }
        let mut found = self.family.living(self.reaches_group);
        // The leader is signalled and waited for by itself.
        found.retain(|descendant| {
            if descendant.pid == self.family.leader() {
                false
            } else if descendant.group == self.group() {
                !self.reaches_group
            } else {
                self.stop_detached
            }
        });
        let mut signalled = self
            .signalled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for descendant in &found {
            let round = signalled.entry(*descendant).or_default();
            if *round < self.round {
                *round = self.round;
                os::signal(*descendant, self.signals);
            }
        }
        found
    }
}
