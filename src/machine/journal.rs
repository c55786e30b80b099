//! What happened lately, for bug reports that replay as a test.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Event, Phase, Sight, Time};

/// How many records are kept.
const KEPT: usize = 256;
/// Looks at the same thing that follow each other so quickly are those of a slow start.
const QUICK: Duration = Duration::from_secs(1);

/// One event of a service, with its age and the phase that it led to.
///
/// What is in it may change in any release: it is for bug reports. It serializes as plain data, and
/// names neither values of the configuration nor output of the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    // Since the service was made, like the times that events tell.
    at: Time,
    age: Duration,
    event: Event,
    /// What it led to.
    phase: Phase,
}

impl Record {
    #[cfg(any(test, fuzzing))]
    pub(crate) fn new(at: Time, event: Event, phase: Phase) -> Self {
        let age = Duration::ZERO;
        Self {
            at,
            age,
            event,
            phase,
        }
    }

    #[cfg(test)]
    pub(crate) fn into_parts(self) -> (Time, Event, Phase) {
        (self.at, self.event, self.phase)
    }

    /// How long ago it happened.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.age
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.3?} ago: {:?}, {:?}",
            self.age, self.event, self.phase
        )
    }
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    events: Mutex<VecDeque<(Time, Event, Phase)>>,
}

impl Journal {
    pub(crate) fn write(&self, now: Time, event: Event, phase: Phase) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        // A slow start is many looks at the same thing, of which the first and the last tell enough.
        let mut latest = events.iter().rev();
        if let (Some(last), Some(before)) = (latest.next(), latest.next())
            && let Event::Probed { sight, .. } = event
            && [last, before].iter().all(|(_, was, _)| saw(was, sight))
            && now.saturating_sub(last.0) < QUICK
        {
            events.pop_back();
        }
        if events.len() == KEPT {
            events.pop_front();
        }
        events.push_back((now, event, phase));
    }

    pub(crate) fn records(&self, now: Time) -> Vec<Record> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let record = |(at, event, phase): &(Time, Event, Phase)| Record {
            at: *at,
            age: now.saturating_sub(*at),
            event: event.clone(),
            phase: *phase,
        };
        events.iter().map(record).collect()
    }
}

fn saw(event: &Event, it: Sight) -> bool {
    matches!(event, Event::Probed { sight, .. } if *sight == it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Policy, State};

    const MS: Duration = Duration::from_millis(1);
    const SEC: Duration = Duration::from_secs(1);

    fn probed(sight: Sight) -> Event {
        Event::Probed {
            sight,
            took: MS,
            leases: 0,
        }
    }

    fn events(journal: &Journal) -> Vec<Event> {
        let records = journal.records(Time::ZERO);
        records.into_iter().map(|record| record.event).collect()
    }

    #[test]
    fn the_latest_records_are_kept() {
        let journal = Journal::default();
        for waiter in 0..1000 {
            journal.write(Time::ZERO, Event::Left { waiter }, Phase::Stopped);
        }
        let events = events(&journal);
        assert_eq!(events.len(), KEPT);
        assert_eq!(
            events[0],
            Event::Left {
                waiter: 1000 - KEPT as u64
            }
        );
        assert_eq!(events[KEPT - 1], Event::Left { waiter: 999 });
    }

    #[test]
    fn of_many_quick_looks_at_the_same_thing_the_first_and_the_last_are_kept() {
        let journal = Journal::default();
        let sights = [
            Sight::Refused,
            Sight::Refused,
            Sight::Status(503),
            Sight::Refused,
        ];
        for (part, sight) in sights.into_iter().enumerate() {
            for nth in 0..100 {
                let at = SEC * u32::try_from(part).unwrap() * 10 + MS * nth;
                journal.write(at, probed(sight), Phase::Starting);
            }
        }
        let ages: Vec<_> = journal.records(40 * SEC).iter().map(Record::age).collect();
        // The last of the hundred that began so many seconds ago.
        let last = |seconds| (SEC * seconds).saturating_sub(99 * MS);
        let expected = [
            40 * SEC,
            last(40),
            // The same thing after a while: it begins where the former ended.
            last(30),
            20 * SEC,
            last(20),
            10 * SEC,
            last(10),
        ];
        assert_eq!(ages, expected);
    }

    #[test]
    fn slow_looks_are_kept_one_by_one() {
        let journal = Journal::default();
        for strike in 0..3 {
            journal.write(strike * 2500 * MS, probed(Sight::Silent), Phase::Ready);
        }
        assert_eq!(events(&journal).len(), 3);
    }

    #[test]
    fn a_record_comes_through_a_file_unchanged() {
        let journal = Journal::default();
        for event in life() {
            journal.write(event.0, event.1, Phase::Starting);
        }
        let records = journal.records(1000 * SEC);
        let text = serde_json::to_string(&records).unwrap();
        let read: Vec<Record> = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{read:?}"), format!("{records:?}"));
    }

    /// A start that takes a while, a request, a silence and three strikes.
    fn life() -> Vec<(Time, Event)> {
        use crate::machine::{Ask, Claim, Leases, Want};
        let ask = Ask {
            handle: 0,
            want: Want::Lease,
            swap_timeout: 120 * SEC,
            max_waiters: None,
        };
        let asked = |waiter, suspect| Event::Asked {
            waiter,
            ask: ask.clone(),
            suspect,
            leases: 0,
        };
        let looked = |out| Leases {
            out,
            idle_since: 111 * SEC,
            alive_since: 111 * SEC,
        };
        let policy = Policy {
            ready_timeout: 120 * SEC,
            idle_stop: Some(600 * SEC),
            stop_timeout: 10 * SEC,
            abandon_grace: None,
            recheck: 30 * SEC,
        };
        let mut life = vec![
            (Time::ZERO, Event::PolicyChanged(policy)),
            (Time::ZERO, asked(0, false)),
            (Time::ZERO, Event::Claim(Claim::Granted)),
            (MS, probed(Sight::Refused)),
            (MS, Event::Spawned),
        ];
        life.extend((0..2000).map(|nth| (SEC + 50 * MS * nth, probed(Sight::Status(503)))));
        life.extend([
            (110 * SEC, probed(Sight::Wanted)),
            (110 * SEC, Event::Looked(looked(1))),
            (111 * SEC, Event::Looked(looked(0))),
            (141 * SEC, Event::Tick),
            (141 * SEC, Event::Looked(looked(0))),
            (200 * SEC, asked(1, true)),
            (202 * SEC, probed(Sight::Silent)),
            (204_500 * MS, probed(Sight::Silent)),
            (207 * SEC, probed(Sight::Silent)),
            (207 * SEC, Event::Closed),
        ]);
        life
    }

    #[test]
    fn a_journal_that_was_written_replays_to_the_same_phase() {
        let policy = match &life()[0].1 {
            Event::PolicyChanged(policy) => *policy,
            other => panic!("{other:?}"),
        };
        for happened in 1..=life().len() {
            let journal = Journal::default();
            let mut state = State::new(policy);
            for (at, event) in life().into_iter().take(happened) {
                state.on(event.clone(), at);
                journal.write(at, event, state.phase());
            }
            let text = serde_json::to_string(&journal.records(1000 * SEC)).unwrap();
            let read: Vec<Record> = serde_json::from_str(&text).unwrap();
            // What a fresh machine was made with is the first thing that the journal tells.
            let mut again = State::new(Policy {
                ready_timeout: SEC,
                ..policy
            });
            for record in read {
                again.on(record.event, record.at);
            }
            assert_eq!(again.phase(), state.phase(), "after {happened} events");
            assert_eq!(
                again.deadline(),
                state.deadline(),
                "after {happened} events"
            );
        }
        let mut state = State::new(policy);
        for (at, event) in life() {
            state.on(event, at);
        }
        assert_eq!(state.phase(), Phase::Stopping);
    }
}
