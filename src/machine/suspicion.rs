//! Whether a server that serves requests still lives.

use std::time::Duration;

use super::{Common, Sight, Time};

/// At most one check in this time.
const PAUSE: Duration = Duration::from_secs(1);
/// A server that does not answer well is condemned by so many probes …
const STRIKES: u8 = 3;
/// … that began so far apart.
const STRIKE_PAUSE: Duration = Duration::from_millis(2500);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Suspicion {
    /// The next request has to ask, since no lease can be taken without.
    pub(crate) is_raised: bool,
    pub(crate) check: Option<Check>,
    pub(crate) next_check: Time,
}

/// A check under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Check {
    pub(crate) since: Time,
    pub(crate) strikes: u8,
    /// When the probe under way was asked for.
    pub(crate) probed_at: Time,
    /// The server is condemned: an owned instance is stopped as soon as no lease is out.
    pub(crate) condemned: bool,
}

/// What a probe says of a server under suspicion.
pub(super) enum Verdict {
    Lives,
    /// Probe again after this pause.
    Unclear(Duration),
    Dead,
}

impl Suspicion {
    pub(super) fn none(cx: &Common) -> Self {
        Self {
            is_raised: false,
            check: None,
            next_check: cx.now + PAUSE,
        }
    }

    pub(super) fn is_checking(&self) -> bool {
        self.check.as_ref().is_some_and(|check| !check.condemned)
    }

    pub(super) fn is_condemned(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.condemned)
    }

    pub(super) fn condemn(&mut self) {
        if let Some(check) = &mut self.check {
            check.condemned = true;
        }
    }

    /// Whether a request that comes now needs no check, since there was one just now.
    pub(super) fn was_just_checked(&self, cx: &Common) -> bool {
        self.check.is_none() && cx.now < self.next_check
    }

    /// Whether a check begins with this; there may be one already.
    pub(super) fn begin_check(&mut self, cx: &Common) -> bool {
        let is_new = self.check.is_none();
        self.check.get_or_insert(Check {
            since: cx.now,
            strikes: 0,
            probed_at: cx.now,
            condemned: false,
        });
        is_new
    }

    /// What the probe of the check says.
    pub(super) fn judge(&mut self, sight: Sight, cx: &Common) -> Option<Verdict> {
        let check = self.check.as_mut()?;
        // A server that asks for credentials lives.
        if matches!(sight, Sight::Ready | Sight::Denied) {
            return Some(Verdict::Lives);
        }
        check.strikes += 1;
        if sight == Sight::Refused || check.strikes >= STRIKES {
            return Some(Verdict::Dead);
        }
        let took = cx.now.saturating_sub(check.probed_at);
        let after = STRIKE_PAUSE.saturating_sub(took);
        check.probed_at = cx.now + after;
        Some(Verdict::Unclear(after))
    }

    pub(super) fn end_check(&mut self, cx: &Common) {
        self.check = None;
        self.next_check = cx.now + PAUSE;
    }

    pub(super) fn dispel(&mut self, cx: &Common) {
        self.is_raised = false;
        self.end_check(cx);
    }
}
