//! What a test makes go wrong.

use std::time::Duration;

/// What happens to a call of the program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is never answered, nor executed.
    Hang,
    /// It waits until `Fake::heal`, and is then executed, whether or not its client still waits.
    Hold,
    /// It is executed after this time, whether or not its client still waits.
    Delay(Duration),
    /// It is answered by this status, and not executed: 403, 404, 409, 422, 429 (with `Retry-After`), 500 or 503.
    Status(u16),
    /// It is executed, but the connection ends before the answer.
    LoseAnswer,
}

#[derive(Default)]
pub(super) struct Faults {
    list: Vec<(usize, String, Fault)>,
    pub(super) silent: bool,
    pub(super) unknown: Vec<String>,
    /// How often the faults were ended.
    pub(super) healed: usize,
}

impl Faults {
    pub(super) fn add(&mut self, times: usize, kind: &str, fault: Fault) {
        self.list.push((times, kind.to_owned(), fault));
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.silent = false;
        self.unknown.clear();
        self.healed += 1;
    }

    /// The fault of this call, which is used up by it.
    pub(super) fn take(&mut self, kind: &str) -> Option<Fault> {
        let found = self
            .list
            .iter_mut()
            .find(|(times, of, _)| *times > 0 && is_of(kind, of))?;
        found.0 -= usize::from(found.0 != usize::MAX);
        Some(found.2)
    }
}

/// Whether a call such as `patch deployments` is of a kind, which may be `*`, `patch *` or `* deployments`.
pub(super) fn is_of(call: &str, kind: &str) -> bool {
    let Some((verb, resource)) = kind.split_once(' ') else {
        return kind == "*" || kind == call;
    };
    let (called, on) = call.split_once(' ').unwrap_or((call, ""));
    (verb == "*" || verb == called) && (resource == "*" || resource == on)
}
