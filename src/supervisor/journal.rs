//! What happened lately, for bug reports that replay as a test.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::state::{Event, Time};

/// How many records are kept.
const KEPT: usize = 256;

/// One event of a service, with its age.
///
/// What is in it may change in any release: it is for bug reports. It serializes as plain data, and
/// names neither values of the configuration nor output of the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    age: Duration,
    event: Event,
}

impl Record {
    /// How long ago it happened.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3?} ago: {:?}", self.age, self.event)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    events: Mutex<VecDeque<(Time, Event)>>,
}

impl Journal {
    pub(crate) fn write(&self, now: Time, event: Event) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // A slow start is many looks at the same thing, of which the last tells enough.
        let again = |last: &Event| match (last, &event) {
            (Event::Probed { sight: last, .. }, Event::Probed { sight, .. }) => last == sight,
            _ => false,
        };
        if events.back().is_some_and(|(_, last)| again(last)) {
            events.pop_back();
        }
        if events.len() == KEPT {
            events.pop_front();
        }
        events.push_back((now, event));
    }

    pub(crate) fn records(&self, now: Time) -> Vec<Record> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let record = |(at, event): &(Time, Event)| Record {
            age: now.saturating_sub(*at),
            event: event.clone(),
        };
        events.iter().map(record).collect()
    }
}
