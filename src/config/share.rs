//! What a service needs of the machine, and when it makes way for others.

use std::{collections::BTreeMap, time::Duration};

use crate::amount::Amount;

/// So much of each named resource.
pub(crate) type Needs = BTreeMap<String, Amount>;

/// What other services have to respect. No part of the identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) needs: Needs,
    /// Never made to leave.
    pub(crate) pinned: bool,
    pub(crate) turn: Turn,
}

/// How long a server that is in use is not asked to make way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// As long as its start took.
    as_start: bool,
    at_least: Duration,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            as_start: true,
            at_least: Duration::ZERO,
        }
    }
}

impl Turn {
    /// `None`: as long as its start took.
    pub(crate) fn new(turn: Option<Duration>) -> Self {
        turn.map_or_else(Self::default, |at_least| Self {
            as_start: false,
            at_least,
        })
    }

    /// Of a server whose start took so long.
    pub(crate) fn after(self, start: Duration) -> Duration {
        if self.as_start {
            self.at_least.max(start)
        } else {
            self.at_least
        }
    }
}

impl Share {
    /// Where the handles of one process differ: the largest needs, pinned if any says so, the longest turn.
    pub(crate) fn largest(mut self, other: &Self) -> Self {
        for (resource, amount) in &other.needs {
            let needs = self.needs.entry(resource.clone()).or_default();
            *needs = (*needs).max(*amount);
        }
        Self {
            pinned: self.pinned || other.pinned,
            turn: Turn {
                as_start: self.turn.as_start || other.turn.as_start,
                at_least: self.turn.at_least.max(other.turn.at_least),
            },
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_handles_the_largest_counts() {
        let share = |gpu: u64, pinned, turn: Option<u64>| Share {
            needs: Needs::from([("gpu".to_owned(), Amount::new(gpu))]),
            pinned,
            turn: Turn::new(turn.map(Duration::from_secs)),
        };
        let both = share(1, false, Some(5)).largest(&share(2, true, Some(3)));
        assert_eq!(both, share(2, true, Some(5)));
        let start = Duration::from_secs(9);
        assert_eq!(both.turn.after(start), Duration::from_secs(5));
        let with_default = both.largest(&share(0, false, None));
        assert_eq!(with_default.turn.after(start), start);
    }
}
