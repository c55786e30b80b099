//! What it costs this program, and the server, to wait for a start that takes long.

use std::{thread, time::Duration};

use crate::{
    row::{Row, digits},
    support::{Fixture, block_on, now, processor_time, waiting},
};

const LONG: u64 = 10_000;
/// Of one core.
const MOST_PERCENT: f64 = 1.0;

const LOADING: u64 = 5_000;
/// Both kinds in turns, so that other load disturbs both alike.
const TURNS: usize = 2;
const MOST_TIMES: f64 = 1.2;

pub(crate) fn measure() -> Vec<Row> {
    vec![
        processor_row("the port refuses", "--delay-bind"),
        processor_row("it answers 503", "--loading"),
        probes_row(),
    ]
}

fn processor_row(does: &str, flag: &str) -> Row {
    let [all, first, rest] = processor_use(&Fixture::new().with(flag, LONG));
    Row::new(
        format!("CPU of this program while {does} for 10 s, of one core"),
        format!(
            "{} % (first second {} %, then {} %)",
            digits(all),
            digits(first),
            digits(rest)
        ),
        format!("≤ {MOST_PERCENT} %"),
        all <= MOST_PERCENT,
    )
}

/// In percent of a core: over all the time, in the first second, in which there are most probes, and in the
/// rest. Nothing else runs in this process.
fn processor_use(fixture: &Fixture) -> [f64; 3] {
    let service = fixture.service("waited for");
    let begun = Used::now();
    let acquire = block_on(waiting(&service));
    thread::sleep(Duration::from_secs(1));
    let first = Used::now();
    let lease = block_on(acquire).expect("it gets ready");
    let end = Used::now();
    drop(lease);
    block_on(service.stop()).expect("it stops");
    [(begun, end), (begun, first), (first, end)].map(|(begun, end)| end.percent_since(begun))
}

#[derive(Clone, Copy)]
struct Used {
    at: Duration,
    processor: Duration,
}

impl Used {
    fn now() -> Self {
        Self {
            at: now(),
            processor: processor_time(),
        }
    }

    fn percent_since(self, begun: Self) -> f64 {
        let used = self.processor.saturating_sub(begun.processor);
        100.0 * used.as_secs_f64() / self.at.saturating_sub(begun.at).as_secs_f64()
    }
}

/// Output must not cause probes: a server that logs its requests would write more for each of them.
fn probes_row() -> Row {
    let (mut silent, mut logging) = (0, 0);
    for _ in 0..TURNS {
        silent += probes(&loading());
        logging += probes(&loading().flag("--log-requests"));
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let times = logging as f64 / silent as f64;
    Row::new(
        "probes of a server that logs each, in 5 s of 503",
        format!("{} times ({})", digits(times), logging / TURNS),
        format!("≤ {MOST_TIMES} times those of a silent one"),
        times <= MOST_TIMES,
    )
    .beside(silent / TURNS)
}

fn loading() -> Fixture {
    Fixture::new().with("--loading", LOADING)
}

fn probes(fixture: &Fixture) -> usize {
    let service = fixture.service("probed");
    drop(block_on(service.acquire()).expect("it gets ready"));
    block_on(service.stop()).expect("it stops");
    fixture.requests().len()
}
