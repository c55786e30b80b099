//! Failed starts in a row, and how long the next one has to wait.

use std::time::Duration;

use super::{Failure, Time};

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Backoff {
    /// Starts that failed in a row.
    pub(crate) failures: u32,
    /// Until then, requests fail at once.
    pub(crate) not_before: Time,
    /// The last start failed, or the last instance did.
    pub(crate) failed: bool,
}

impl Backoff {
    /// The error of a request that comes too early for the next start.
    pub(super) fn refusal(&self, now: Time) -> Option<Failure> {
        (now < self.not_before).then(|| Failure::CrashLoop {
            failures: self.failures,
            retry_after: self.not_before.saturating_sub(now),
        })
    }

    pub(super) fn count_failure(&mut self, now: Time) {
        self.failures = self.failures.saturating_add(1);
        self.not_before = now + delay(self.failures);
        self.failed = true;
    }

    pub(super) fn forgive(&mut self) {
        *self = Self::default();
    }
}

/// The pause after so many failed starts in a row: none, none, 1 s, 2 s, … 60 s.
fn delay(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        // Past 2^6 it is the longest anyway.
        n => LONGEST.min(FIRST * 2u32.pow((n - 2).min(6))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_one_second_to_a_minute() {
        let seconds: Vec<_> = (0..12).map(|n| delay(n).as_secs()).collect();
        assert_eq!(seconds, [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(delay(u32::MAX), LONGEST);
    }
}
