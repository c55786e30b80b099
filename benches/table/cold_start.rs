//! How long a server is ready before a request that waits for it has a lease.

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
}

const STARTS: [Start; 2] = [
    Start {
        does: "the port refuses",
        flag: "--delay-bind",
    },
    Start {
        does: "it answers 503",
        flag: "--loading",
    },
];

/// After how many milliseconds the server is ready, and how many such starts are measured. All of them take
/// three minutes.
const DELAYS: [(u64, usize); 8] = [
    (5, 40),
    (30, 40),
    (137, 30),
    (260, 20),
    (500, 16),
    (1000, 20),
    (3000, 9),
    (5000, 2),
];
/// The budget of the median for a start of up to 300 ms; for a longer one it is 1 % of the start.
const MEDIAN: Duration = ms(3);
/// The budget of the longest: a pause between two probes is at most 50 ms.
const LONGEST: Duration = ms(55);

pub(crate) fn measure() -> Vec<Row> {
    let rows = |start| DELAYS.map(|delay| row(start, delay));
    STARTS.into_iter().flat_map(rows).collect()
}

fn row(start: Start, (delay, count): (u64, usize)) -> Row {
    let sample = sample(start, delay, count);
    let (median, longest) = (sample.median(), sample.percentile(100));
    let budget = MEDIAN.max(ms(delay) / 100);
    Row::new(
        format!(
            "ready to lease, {} for {delay} ms: p50 / longest of {count}",
            start.does
        ),
        format!("{} / {}", time(median), time(longest)),
        format!("≤ {} / {}", time(budget), time(LONGEST)),
        median <= budget && longest <= LONGEST,
    )
}

/// The starts differ evenly by more than a pause between two probes: chance is not to decide how long before a probe
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
