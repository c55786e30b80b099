//! What a request takes while it waits: its future, and what the supervisor knows of it.

use allocation_counter::measure;
use tokio::runtime::Builder;
use tower_local_service::Registry;

use crate::{
    kernel,
    row::Row,
    support::{Fixture, eventually, waiting},
};

const MANY: u32 = 10_000;
const MOST: u64 = 1024;

/// The supervisor runs on this thread, too, so that its memory is counted. Two figures: what was asked of the
/// allocator, and how much the process grew: that includes the allocator's own part, but not memory that it had left.
pub(super) fn row() -> Row {
    let fixture = Fixture::new().with("--delay-bind", 2_000);
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let service = Registry::with_runtime(runtime.handle().clone())
        .service("waited for", fixture.base_url(), fixture.config())
        .expect("a configuration that works");

    // What the first one allocates for all is allocated once, however many wait.
    let first = runtime.block_on(waiting(&service));
    let mut crowd = vec![first];
    crowd.reserve_exact(MANY as usize);
    let resident_before = kernel::resident();
    let ask = async {
        for _ in 0..MANY {
            crowd.push(waiting(&service).await);
        }
        let all_wait = || service.status().waiters == MANY as usize + 1;
        eventually("all wait", all_wait).await;
    };
    let counted = measure(|| runtime.block_on(ask)).bytes_current;
    let resident = kernel::resident().saturating_sub(resident_before) / u64::from(MANY);
    let counted = u64::try_from(counted).expect("it grew") / u64::from(MANY);

    runtime.block_on(async {
        for request in crowd {
            drop(request.await.expect("each is served"));
        }
        service.stop().await.expect("it stops");
    });
    Row::new(
        format!("memory of each of {MANY} that wait: allocated / resident"),
        format!("{counted} B / {resident} B"),
        format!("≤ {MOST} B"),
        counted.max(resident) <= MOST,
    )
}
