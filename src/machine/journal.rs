//! What happened lately, for bug reports that replay as a test.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Event, Phase, Time};

/// How many records are kept.
const KEPT: usize = 256;
/// Probes that saw the same and follow each other so quickly are those of a slow start.
const QUICK: Duration = Duration::from_secs(1);

/// One event of a service, with its age and the phase that it led to.
///
/// It is for bug reports: what is in it may change in any release. It serializes as plain data, and
/// contains neither values of the configuration nor output of the process.
/// # Example
///
/// As lines of JSON, a bug report can be replayed as a test of this crate:
///
/// ```
/// use tower_local_service::LocalService;
///
/// fn report(llama: &LocalService) -> Result<String, serde_json::Error> {
///     let lines: Result<Vec<_>, _> = llama.journal().iter().map(serde_json::to_string).collect();
///     Ok(lines?.join("\n"))
/// }
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    // Since the supervisor was made, like the times inside of events.
    pub(crate) at: Time,
    pub(crate) age: Duration,
    pub(crate) event: Event,
    /// What it led to.
    pub(crate) phase: Phase,
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
        let Self {
            age, event, phase, ..
        } = self;
        write!(f, "{age:.3?} ago: {event:?}, {phase:?}")
    }
}

/// The latest events of a service.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    records: Mutex<VecDeque<Record>>,
}

impl Journal {
    pub(crate) fn write(&self, at: Time, event: Event, phase: Phase) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        // Of many quick probes that saw the same, the first and the last tell enough.
        let mut latest = records.iter().rev();
        if let (Some(last), Some(before)) = (latest.next(), latest.next())
            && [last, before]
                .iter()
                .all(|it| saw_the_same(&it.event, &event))
            && at.saturating_sub(last.at) < QUICK
        {
            records.pop_back();
        }
        if records.len() == KEPT {
            records.pop_front();
        }
        let age = Duration::ZERO;
        records.push_back(Record {
            at,
            age,
            event,
            phase,
        });
    }

    pub(crate) fn records(&self, now: Time) -> Vec<Record> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records: Vec<_> = records.iter().cloned().collect();
        for record in &mut records {
            record.age = now.saturating_sub(record.at);
        }
        records
    }
}

/// Whether both are probes that saw the same.
fn saw_the_same(one: &Event, other: &Event) -> bool {
    match (one, other) {
        (
            Event::Probed { sight, detail, .. },
            Event::Probed {
                sight: other_sight,
                detail: other_detail,
                ..
            },
        ) => sight == other_sight && detail == other_detail,
        _ => false,
    }
}
