//! How long a server is ready before who waits for it has a lease.

use std::time::Duration;

use crate::{
    row::{Row, time},
    sample::Sample,
    stamp::{stamping, take_stamp},
    support::{Fixture, block_on, ms, now},
};

/// What the server does until it is ready.
#[derive(Clone, Copy)]
struct Start {
    does: &'static str,
    flag: &'static str,
    median: Duration,
}

const STARTS: [Start; 2] = [
    Start {
        does: "the port refuses",
        flag: "--delay-bind",
        median: ms(3),
    },
    Start {
        does: "it answers 503",
        flag: "--loading",
        median: ms(6),
    },
];

/// After how many milliseconds it is ready, and how many starts there are of that kind: all of them take
/// three minutes.
const DELAYS: [(u64, usize); 7] = [
    (5, 40),
    (30, 40),
    (137, 30),
    (260, 20),
    (500, 16),
    (1000, 20),
    (3000, 9),
];
const LONGEST: Duration = ms(15);

/// Beyond those, where the pause between two probes is bounded and nothing more is promised.
const BEYOND: (u64, usize) = (5000, 2);
const LONGEST_BEYOND: Duration = ms(50);

pub(crate) fn measure() -> Vec<Row> {
    STARTS.into_iter().flat_map(rows).collect()
}

fn rows(start: Start) -> Vec<Row> {
    let mut rows: Vec<_> = DELAYS.map(|delay| row(start, delay)).into();
    rows.push(row_beyond(start));
    rows
}

fn row(start: Start, (delay, count): (u64, usize)) -> Row {
    let sample = sample(start, delay, count);
    // Of fewer than a hundred, p99 is the longest.
    let (median, p99) = (sample.median(), sample.percentile(99));
    Row::new(
        format!(
            "ready to lease, {} for {delay} ms: p50 / p99 of {count}",
            start.does
        ),
        format!("{} / {}", time(median), time(p99)),
        format!("≤ {} / {}", time(start.median), time(LONGEST)),
        median <= start.median && p99 <= LONGEST,
    )
}

fn row_beyond(start: Start) -> Row {
    let (delay, count) = BEYOND;
    let longest = sample(start, delay, count).percentile(100);
    Row::new(
        format!(
            "ready to lease, {} for {delay} ms: longest of {count}",
            start.does
        ),
        time(longest),
        format!("≤ {}", time(LONGEST_BEYOND)),
        longest <= LONGEST_BEYOND,
    )
}

/// Evenly over more time than lies between two probes: chance is not to decide how long before a probe
/// the server is ready.
fn sample(start: Start, delay: u64, count: usize) -> Sample {
    let spread = (delay / 5).min(50);
    let times = (0..count as u64).map(|n| late(start, delay + n * spread / count as u64));
    Sample::new(times.collect())
}

/// One start of a server of its own.
fn late(start: Start, delay: u64) -> Duration {
    let fixture = stamping(Fixture::new().with(start.flag, delay));
    let service = fixture.service("cold");
    let lease = block_on(service.acquire()).expect("it gets ready");
    let served = now();
    let late = served.saturating_sub(take_stamp(&fixture));
    drop(lease);
    block_on(service.stop()).expect("it stops");
    late
}
