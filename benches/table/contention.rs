//! Many tasks that take and give back leases of one service at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{runtime::Runtime, task::JoinSet, time::Instant};

use crate::{
    row::{Row, digits},
    running::running,
    sample::Sample,
    support::two_workers,
};

const ROUNDS: usize = 9;
const PER_ROUND: Duration = Duration::from_millis(300);
/// So many leases between two readings of the clock, and between two turns of a task.
const BATCH: u64 = 1000;

pub(crate) fn measure() -> Vec<Row> {
    let runtime = two_workers();
    let running = running("contention");
    runtime.block_on(running.service.start()).expect("it runs");
    let word = Arc::new(AtomicU64::new(0));

    let counts = [2, 8, 64];
    let mut of_leases = counts.map(|_| Vec::new());
    let mut of_a_word = counts.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (which, &tasks) in counts.iter().enumerate() {
            let service = running.service.clone();
            of_leases[which].push(time_of_a_million(&runtime, tasks, move || {
                drop(service.try_acquire().expect("it is ready"));
            }));
            let word = word.clone();
            of_a_word[which].push(time_of_a_million(&runtime, tasks, move || {
                word.fetch_add(1, SeqCst);
                word.fetch_sub(1, SeqCst);
            }));
        }
    }
    // Millions a second.
    let rate = |times| 1.0 / Sample::new(times).median().as_secs_f64();
    let (rates, of_a_word) = (of_leases.map(rate), of_a_word.map(rate));
    let row = |which: usize, budget: &str, held| {
        Row::new(
            format!(
                "leases taken and given back, {} tasks on 2 threads",
                counts[which]
            ),
            format!("{} M/s", digits(rates[which])),
            budget,
            held,
        )
        .beside(format!(
            "{} M/s (one atomic counter)",
            digits(of_a_word[which])
        ))
    };
    let enough = |rate: f64| rate >= 20.0;
    vec![
        row(0, "≥ 20 M/s", enough(rates[0])),
        row(1, "≥ 20 M/s", enough(rates[1])),
        row(
            2,
            "≥ 20 M/s, no less than 2 tasks",
            enough(rates[2]) && rates[2] >= 0.95 * rates[0],
        ),
    ]
}

/// The time of a million leases, whichever task takes them.
fn time_of_a_million(
    runtime: &Runtime,
    tasks: usize,
    work: impl Fn() + Clone + Send + 'static,
) -> Duration {
    runtime.block_on(async {
        let begun = Instant::now();
        let mut all = JoinSet::new();
        for _ in 0..tasks {
            let work = work.clone();
            all.spawn(async move {
                let mut done = 0;
                while begun.elapsed() < PER_ROUND {
                    (0..BATCH).for_each(|_| work());
                    done += BATCH;
                    tokio::task::yield_now().await;
                }
                done
            });
        }
        let mut done = 0;
        while let Some(one) = all.join_next().await {
            done += one.expect("no task panics");
        }
        #[expect(clippy::cast_precision_loss, reason = "millions")]
        let done = done as f64;
        begun.elapsed().div_f64(done / 1e6)
    })
}
