//! How often programs ask the API server of a cluster, by simulation: the protocol is that of the crate, the clock and the
//! server are not.

mod api;
#[path = "../../../src/launch/kubernetes/protocol/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "a part of the crate, for itself")]
mod protocol;
mod simulation;

use std::{ops::Range, time::Duration};

use self::{
    api::Api,
    simulation::{Simulation, Wish},
};
use crate::{
    row::{Row, digits, time},
    sample::Sample,
};

const PROGRAMS: usize = 1000;
const WORKLOADS: usize = 50;
/// That of `Workload::deadline`, by default.
const DEADLINE: Duration = secs(60);
/// All programs wish the same within this time.
const RUSH: Range<Duration> = secs(600)..secs(610);

pub(crate) fn measure() -> Vec<Row> {
    vec![idle(), busy(1), busy(WORKLOADS), rush(), end(), killed()]
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// What is asked of the API server in all of these simulations, one for each workload.
struct Load {
    /// Calls in all seconds.
    all: u64,
    /// Calls in the busiest second.
    peak: u64,
    seconds: usize,
}

impl Load {
    fn of(simulations: &[Simulation], seconds: Range<usize>) -> Self {
        let in_second = |second: usize| {
            let calls = simulations.iter().map(|it| it.calls.get(second));
            calls.flatten().sum::<u64>()
        };
        let calls: Vec<_> = seconds.map(in_second).collect();
        Self {
            all: calls.iter().sum(),
            peak: calls.iter().copied().max().unwrap_or_default(),
            seconds: calls.len(),
        }
    }

    fn row(&self, what: &str, budget: f64) -> Row {
        let mean = quotient(self.all, self.seconds);
        Row::new(
            format!("requests a second to the API server, {what}: mean / busiest second"),
            format!("{} / {}", digits(mean), self.peak),
            format!("mean ≤ {}", digits(budget)),
            mean <= budget,
        )
    }
}

fn quotient(all: u64, parts: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let (all, parts) = (all as f64, parts as f64);
    all / parts
}

/// One for each workload, with so many programs that begin to use it in the first minute.
fn simulations(programs: usize) -> Vec<Simulation> {
    let of_one = |seed| {
        let mut one = Simulation::new(programs, DEADLINE, seed);
        one.wish(0..programs, Wish::Join, secs(0)..secs(60));
        one
    };
    (0..WORKLOADS as u64).map(of_one).collect()
}

fn never(_: &Api) -> bool {
    false
}

/// The third hour after all programs have used all workloads.
fn idle() -> Row {
    let mut all = simulations(PROGRAMS);
    for one in &mut all {
        one.wish(0..PROGRAMS, Wish::Leave, RUSH);
        one.run(secs(3 * 3600), never);
        assert!(one.api.is_at_zero(), "nobody uses it");
    }
    let load = Load::of(&all, 2 * 3600..3 * 3600);
    load.row(
        &format!("{PROGRAMS} programs that have used all of {WORKLOADS} workloads, and use none"),
        100.0,
    )
}

/// Ten minutes in which each program uses so many of the workloads.
fn busy(used: usize) -> Row {
    let mut all = simulations(PROGRAMS * used / WORKLOADS);
    for one in &mut all {
        one.run(secs(1200), never);
        assert_eq!(one.api.scaled, (1, 0), "it is used all the time");
    }
    let load = Load::of(&all, 600..1200);
    let budget = quotient(4 * (PROGRAMS * used) as u64, 60);
    load.row(
        &format!("{PROGRAMS} programs that use {used} of {WORKLOADS} workloads each"),
        budget,
    )
}

/// All programs begin to use all workloads.
fn rush() -> Row {
    let mut all: Vec<_> = (0..WORKLOADS as u64)
        .map(|seed| Simulation::new(PROGRAMS, DEADLINE, seed))
        .collect();
    for one in &mut all {
        one.wish(0..PROGRAMS, Wish::Join, RUSH);
        one.run(secs(612), never);
        assert_eq!(one.api.scaled, (1, 0), "one scale-up for all");
    }
    let load = Load::of(&all, 600..612);
    let each = quotient(load.all, PROGRAMS * WORKLOADS);
    Row::new(
        format!(
            "{PROGRAMS} programs begin to use {WORKLOADS} workloads within 10 s: requests for each of both / busiest second"
        ),
        format!("{} / {}", digits(each), load.peak),
        "≤ 6 for each",
        each <= 6.0,
    )
}

/// All programs end to use all workloads.
fn end() -> Row {
    let mut all = simulations(PROGRAMS);
    for one in &mut all {
        one.wish(0..PROGRAMS, Wish::Leave, RUSH);
        one.run(secs(900), never);
        assert_eq!(one.api.scaled, (1, 1), "one scale-down for all");
    }
    let load = Load::of(&all, 600..900);
    let each = quotient(load.all, PROGRAMS * WORKLOADS);
    let listed = all.iter().map(|it| it.api.listed).sum();
    let listed = quotient(listed, PROGRAMS * WORKLOADS);
    Row::new(
        format!(
            "{PROGRAMS} programs end to use {WORKLOADS} workloads within 10 s: requests for each of both / busiest second / \
             Leases in its lists"
        ),
        format!("{} / {} / {}", digits(each), load.peak, digits(listed)),
        "≤ 8 for each",
        each <= 8.0,
    )
}

/// One half of the programs is killed, and the other one leaves at the same time.
fn killed() -> Row {
    let half = PROGRAMS / 2;
    let mut times = Vec::new();
    for mut one in simulations(PROGRAMS) {
        one.wish(0..half, Wish::Die, RUSH);
        one.wish(half..PROGRAMS, Wish::Leave, RUSH);
        let at = one.run(secs(3600), |api| api.scaled.1 > 0);
        assert_eq!(one.api.scaled, (1, 1), "it is scaled down");
        times.push(at.saturating_sub(RUSH.end));
    }
    let sample = Sample::new(times);
    let longest = sample.percentile(100);
    Row::new(
        format!(
            "{half} programs are killed and {half} end to use a workload: until it is at zero, p50 / longest of {WORKLOADS}"
        ),
        format!("{} / {}", time(sample.median()), time(longest)),
        format!("≤ {}", time(3 * DEADLINE)),
        longest <= 3 * DEADLINE,
    )
}
