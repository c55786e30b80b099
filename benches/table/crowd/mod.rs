//! Many requests for a server that does not run yet: one start serves them all.

mod memory;

use std::{thread, time::Duration};

use tokio::{runtime::Runtime, sync::oneshot, task::JoinSet};

use crate::{
    row::{Row, time},
    sample::Sample,
    stamp::{stamping, take_stamp},
    support::{Fixture, block_on, blocking_until, ms, now, two_workers},
};

const CROWDS: [(usize, Duration); 2] = [(1_000, ms(20)), (10_000, ms(100))];
const STARTS: usize = 5;

pub(crate) fn measure() -> Vec<Row> {
    // First, while the process has no freed memory: requests that used it again would not show as growth.
    let mut rows = vec![memory::row()];
    rows.extend(CROWDS.map(|(many, most)| row(many, most)));
    rows
}

fn row(many: usize, most: Duration) -> Row {
    let (served, woken): (Vec<_>, Vec<_>) = (0..STARTS)
        .map(|_| (last_served(many), last_woken(many)))
        .unzip();
    let (served, woken) = (Sample::new(served), Sample::new(woken));
    let median = served.median();
    Row::new(
        format!(
            "{many} cold requests, one spawn: ready to the last lease, p50 / longest of {STARTS} \
             (without: a channel each)"
        ),
        both(&served),
        format!("≤ {}", time(most)),
        median <= most,
    )
    .beside(both(&woken))
}

fn both(sample: &Sample) -> String {
    format!(
        "{} / {}",
        time(sample.median()),
        time(sample.percentile(100))
    )
}

fn last_served(many: usize) -> Duration {
    let fixture = stamping(Fixture::new().with("--delay-bind", 500));
    let service = fixture.service("crowded");
    let (runtime, mut crowd) = (two_workers(), JoinSet::new());
    for _ in 0..many {
        let service = service.clone();
        let request = async move {
            let lease = service.acquire().await.expect("each is served");
            let served = now();
            drop(lease);
            served
        };
        crowd.spawn_on(request, runtime.handle());
    }
    let all_wait = blocking_until(|| service.status().waiters == many);
    assert!(all_wait, "all have asked before it is ready");
    let last = last_of(&runtime, crowd);
    assert_eq!(fixture.starts().len(), 1);
    block_on(service.stop()).expect("it stops");
    last.saturating_sub(take_stamp(&fixture))
}

/// The same tasks on the same workers, where each only waits for a channel.
fn last_woken(many: usize) -> Duration {
    let (runtime, mut crowd) = (two_workers(), JoinSet::new());
    let mut senders = Vec::new();
    for _ in 0..many {
        let (sender, receiver) = oneshot::channel();
        senders.push(sender);
        let request = async move {
            receiver.await.expect("each is woken");
            now()
        };
        crowd.spawn_on(request, runtime.handle());
    }
    // By then all of them wait.
    thread::sleep(ms(100));
    let begun = now();
    for sender in senders {
        sender.send(()).expect("it waits");
    }
    last_of(&runtime, crowd).saturating_sub(begun)
}

fn last_of(runtime: &Runtime, crowd: JoinSet<Duration>) -> Duration {
    let times = runtime.block_on(crowd.join_all());
    times.into_iter().max().expect("a crowd")
}
