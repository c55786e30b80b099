//! The processes of one instance, wherever they went: by the tree of parents, and by the cookie.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    cookie::Cookie,
    os::{self, Cgroup},
};

/// A process of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Descendant {
    pub(super) pid: u32,
    /// When it was started, which tells it from a later process with the same number.
    pub(super) started: u64,
    /// The number of its process group, when it was last looked at.
    pub(super) group: u32,
}

/// What tells whether a process belongs to an instance.
///
/// The tree of parents shows every descendant while its parents live, also one that has a session, a user
/// or an environment of its own. A process whose parent ends gets another parent: it is known if it was
/// seen before that, by the cookie in its environment, or by its control group.
pub(super) struct Family {
    cookie: Cookie,
    group: u32,
    leader: u32,
    /// All processes of the instance are in it, where one may be made.
    cgroup: Option<Cgroup>,
    /// The leader and the descendants that were seen, by number.
    known: Mutex<HashMap<u32, Descendant>>,
}

impl Family {
    /// The family of a leader that is not reaped yet.
    pub(super) fn new(cookie: Cookie, leader: u32, group: u32, cgroup: Option<Cgroup>) -> Self {
        let root = os::descendant(leader);
        Self {
            cookie,
            group,
            leader,
            cgroup,
            known: Mutex::new(root.map(|root| (leader, root)).into_iter().collect()),
        }
    }

    pub(super) fn group(&self) -> u32 {
        self.group
    }

    pub(super) fn leader(&self) -> u32 {
        self.leader
    }

    /// Remembers the descendants that the tree of parents shows now. `is_pinned` says that no other group
    /// can have the number of the instance's group. Takes a millisecond or two: it reads a line of each
    /// process of this machine.
    pub(super) fn remember(&self, is_pinned: bool) {
        os::add_descendants(&mut self.known(), is_pinned.then_some(self.group));
    }

    /// The living processes of the instance, with its leader. Blocks for milliseconds: it also reads the
    /// environment of every process of this user.
    pub(super) fn living(&self, is_pinned: bool) -> Vec<Descendant> {
        let marked = os::with_cookie(&self.cookie);
        let mut known = self.known();
        let members = self.cgroup.iter().flat_map(Cgroup::members);
        let members = members.filter_map(os::descendant);
        let marked = marked.into_iter().chain(members);
        known.extend(marked.map(|one| (one.pid, one)));
        os::add_descendants(&mut known, is_pinned.then_some(self.group));
        known.values().copied().collect()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u32, Descendant>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
