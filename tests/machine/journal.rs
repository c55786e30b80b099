//! The journal: what it keeps, and that the machine takes the same way again from it.

use std::time::Duration;

use crate::machine::{
    Ask, Claim, Event, Journal, Leases, Machine, Phase, Policy, Record, Sight, Time, Want,
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

fn probed(sight: Sight) -> Event {
    Event::Probed {
        sight,
        foreign: false,
        detail: String::new(),
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
    assert_eq!(events.len(), 256);
    assert_eq!(events[0], Event::Left { waiter: 1000 - 256 });
    assert_eq!(events[256 - 1], Event::Left { waiter: 999 });
}

#[test]
fn of_many_quick_probes_that_saw_the_same_the_first_and_the_last_are_kept() {
    let journal = Journal::default();
    let sights = [
        Sight::Refused,
        Sight::Refused,
        Sight::Loading,
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
fn slow_probes_are_kept_one_by_one() {
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

/// A start that takes a while, a request, and another one that finds the address refused.
fn life() -> Vec<(Time, Event)> {
    let ask = Ask {
        handle: 0,
        shut_down: false,
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
    let counted = |out| Leases {
        out,
        idle_since: 111 * SEC,
        alive_since: 111 * SEC,
    };
    let policy = Policy {
        ready_timeout: 120 * SEC,
        idle_stop: Some(600 * SEC),
        stop_timeout: 10 * SEC,
        abandon_grace: None,
        unresponsive_after: Some(120 * SEC),
        needs_room: false,
        keep_ready: false,
        stop_command: false,
        launcher: false,
        ready_request: false,
    };
    let mut life = vec![
        (Time::ZERO, Event::PolicyChanged(policy)),
        (Time::ZERO, asked(0, false)),
        (Time::ZERO, Event::Claim(Claim::Owner)),
        (MS, probed(Sight::Refused)),
        (MS, Event::Spawned),
    ];
    life.extend((0..2000).map(|nth| (SEC + 50 * MS * nth, probed(Sight::Loading))));
    life.extend([
        (110 * SEC, probed(Sight::Ready)),
        (110 * SEC, Event::Leases(counted(1))),
        (111 * SEC, Event::Leases(counted(0))),
        (141 * SEC, Event::Tick),
        (141 * SEC, Event::Leases(counted(0))),
        (200 * SEC, asked(1, true)),
        (200 * SEC, Event::Knocked { refused: true }),
        (200 * SEC, Event::Closed),
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
        let mut machine = Machine::new(policy);
        for (at, event) in life().into_iter().take(happened) {
            machine.on(event.clone(), at);
            journal.write(at, event, machine.phase());
        }
        let text = serde_json::to_string(&journal.records(1000 * SEC)).unwrap();
        let read: Vec<Record> = serde_json::from_str(&text).unwrap();
        // What a fresh machine was made with is the first thing that the journal tells.
        let mut again = Machine::new(Policy {
            ready_timeout: SEC,
            ..policy
        });
        for record in read {
            again.on(record.event, record.at);
        }
        assert_eq!(again.phase(), machine.phase(), "after {happened} events");
        assert_eq!(
            again.deadline(),
            machine.deadline(),
            "after {happened} events"
        );
    }
    let mut machine = Machine::new(policy);
    for (at, event) in life() {
        machine.on(event, at);
    }
    assert_eq!(machine.phase(), Phase::Stopping);
}
