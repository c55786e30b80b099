//! When starts have to pause: counts the starts that were said to have failed.

use std::time::Duration;

use crate::machine::Time;

/// Failed starts in a row, and until when the next one has to wait.
#[derive(Debug, Default)]
pub(super) struct Failures {
    pub(super) count: u32,
    pub(super) not_before: Time,
}

impl Failures {
    pub(super) fn add(&mut self, now: Time) {
        self.count += 1;
        // At once, 1 s, 2 s, … 60 s.
        let pauses = [0, 0, 1, 2, 4, 8, 16, 32, 60];
        let nth = (self.count as usize).min(pauses.len() - 1);
        self.not_before = now + Duration::from_secs(pauses[nth]);
    }

    pub(super) fn forgive(&mut self) {
        *self = Self::default();
    }
}
