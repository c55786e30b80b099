//! How long it takes to decide which services make way.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};

use crate::{
    row::{Row, time},
    sample::Sample,
    support::{Fixture, Resource, block_on, blocking_until, ms, two_workers},
};

const REGISTERED: u16 = 1000;
const BUDGET: Duration = ms(1);

pub(crate) fn measure() -> Vec<Row> {
    [1, 50, 200].map(row).into()
}

/// How long a plan takes, by the call that says how much there is: it plans once.
fn row(waiting: u16) -> Row {
    let runtime = two_workers();
    let fixture = Fixture::new().with("--max-life", 1_000_000);
    let gpu = Resource::with(2);
    let busy = gpu.service(&fixture, "busy", 2, fixture.config());
    let lease = block_on(busy.acquire()).expect("it starts");
    // They are never started, so their ports are not used.
    let services = (0..REGISTERED).map(|nth| {
        let url = format!("http://127.0.0.1:{}/v1", 30_000 + nth);
        let config = fixture
            .config()
            .arg(nth.to_string())
            .swap_timeout(ms(600_000))
            .needs(&gpu.name, 2);
        let service = gpu.registry.service(format!("service-{nth}"), url, config);
        service.expect("a configuration that works")
    });
    let services: Vec<_> = services.collect();
    let mut requests = JoinSet::new();
    for service in &services[..usize::from(waiting)] {
        let service = service.clone();
        requests.spawn_on(
            async move { service.acquire().await.map(drop) },
            runtime.handle(),
        );
    }
    let all_wait = || {
        let mut resources = gpu.registry.resources().into_iter();
        let gpu = resources.find(|it| it.name == gpu.name);
        gpu.is_some_and(|it| it.waiting.len() == usize::from(waiting))
    };
    assert!(blocking_until(all_wait), "they wait");
    // Another amount each time, of which there is never enough for a second one.
    let plan = |nth: u64| {
        let begun = Instant::now();
        gpu.registry.capacity(&gpu.name, 2 + nth % 2);
        begun.elapsed()
    };
    let sample = Sample::new((1..=200).map(plan).collect());
    runtime.block_on(requests.shutdown());
    drop(lease);
    let median = sample.median();
    Row::new(
        format!(
            "a plan, {REGISTERED} services that need something, {waiting} with a request that waits: p50 / p95 of 200"
        ),
        format!("{} / {}", time(median), time(sample.percentile(95))),
        format!("≤ {}", time(BUDGET)),
        median <= BUDGET,
    )
}
