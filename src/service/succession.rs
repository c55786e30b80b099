//! The line of what takes the place of one another: the handles of a service, from configuration to configuration.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

/// A place in a line. It keeps no member of the line in use.
pub(super) struct Succession<T> {
    line: OnceLock<Arc<Mutex<Line<T>>>>,
}

struct Line<T> {
    latest: Weak<T>,
    /// Those before it that have not been taken out.
    former: Vec<Weak<T>>,
}

impl<T> Succession<T> {
    /// After `former`, whose place this is, comes `next`, whose place is `its`. Nothing happens if that has a line already.
    pub(super) fn continue_with(&self, former: &Arc<T>, next: &Arc<T>, its: &Self) {
        let line = self.line.get_or_init(Arc::default);
        if its.line.set(line.clone()).is_err() {
            return;
        }
        let mut of_line = lock(line);
        of_line.former.push(Arc::downgrade(former));
        of_line.latest = Arc::downgrade(next);
    }

    /// Takes out the members before this one, if it is the latest, so that each is taken out once.
    pub(super) fn take_former(&self, member: &Arc<T>) -> Vec<Arc<T>> {
        let Some(line) = self.line.get() else {
            return Vec::new();
        };
        let mut line = lock(line);
        if !line.latest.ptr_eq(&Arc::downgrade(member)) {
            return Vec::new();
        }
        let former = mem::take(&mut line.former);
        drop(line);
        former.iter().filter_map(Weak::upgrade).collect()
    }

    /// The latest member, unless this place is in no line or nothing holds that member any more.
    pub(super) fn latest(&self) -> Option<Arc<T>> {
        lock(self.line.get()?).latest.upgrade()
    }

    /// Whether this place is in a line.
    pub(super) fn has_line(&self) -> bool {
        self.line.get().is_some()
    }
}

impl<T> Default for Succession<T> {
    fn default() -> Self {
        Self {
            line: OnceLock::new(),
        }
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            latest: Weak::new(),
            former: Vec::new(),
        }
    }
}

fn lock<T>(line: &Mutex<Line<T>>) -> MutexGuard<'_, Line<T>> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}
