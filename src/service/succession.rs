//! What takes the place of a service whose configuration was replaced.
//!
//! A start of a former configuration is of no use once its successor is asked for, even if requests wait for it. Those
//! requests are served by the successor where it has the same origin: their URLs are right for it, too.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
};

use super::handle::Handle;
use crate::{
    config::same_origin,
    error::{Error, ErrorKind},
};

/// The handles of one service, from configuration to configuration. It keeps none of them in use.
#[derive(Default)]
pub(super) struct Succession {
    line: OnceLock<Arc<Mutex<Line>>>,
}

#[derive(Default)]
struct Line {
    latest: Weak<Handle>,
    /// Those before it whose starts may be under way.
    former: Vec<Weak<Handle>>,
}

impl Succession {
    /// The next configuration of `former` is `next`.
    pub(super) fn begin(former: &Arc<Handle>, next: &Arc<Handle>) {
        let line = former.succession.line.get_or_init(Arc::default);
        if next.succession.line.set(line.clone()).is_err() {
            return;
        }
        let mut of_line = lock(line);
        of_line.former.push(Arc::downgrade(former));
        of_line.latest = Arc::downgrade(next);
    }

    /// The handle is asked for: if it is the latest one, the starts of the former configurations end.
    pub(super) fn take_over(handle: &Arc<Handle>) {
        let Some(line) = handle.succession.line.get() else {
            return;
        };
        let mut line = lock(line);
        if !line.latest.ptr_eq(&Arc::downgrade(handle)) {
            return;
        }
        let former = mem::take(&mut line.former);
        drop(line);
        // A handle of the same process has only other times or another probe.
        let others = former
            .iter()
            .filter_map(Weak::upgrade)
            .filter(|former| !Arc::ptr_eq(&former.client, &handle.client));
        others.for_each(|former| former.give_up());
    }

    /// The handle that serves the requests of this one: the latest one if it can, or else this one.
    pub(super) fn latest(handle: &Arc<Handle>) -> Arc<Handle> {
        let latest = handle.succession.successor();
        let latest = latest.filter(|latest| serves(handle, latest));
        latest.unwrap_or_else(|| handle.clone())
    }

    /// Whether the handle has a successor, and requests were dismissed for that.
    pub(super) fn is_reason_of(&self, error: &Error) -> bool {
        let dismissed = matches!(error.kind(), ErrorKind::ShutDown {} | ErrorKind::Stopped {});
        dismissed && self.line.get().is_some()
    }

    fn successor(&self) -> Option<Arc<Handle>> {
        lock(self.line.get()?).latest.upgrade()
    }
}

/// Whether requests for one are right for the other, too.
fn serves(former: &Handle, next: &Handle) -> bool {
    same_origin(&former.attached.settings.base, &next.attached.settings.base)
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}
