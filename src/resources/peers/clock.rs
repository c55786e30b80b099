//! The clock that all processes share.

use std::time::Duration;

/// It stands still while the machine is suspended.
#[cfg(all(unix, not(tower_local_service_unsupported)))]
pub(crate) fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
}

/// Of the day: without unsafe code nothing tells of a clock that is never set. While it is set, uses by other programs may
/// be taken for older or newer than they are.
#[cfg(windows)]
#[expect(
    clippy::disallowed_types,
    reason = "all programs have no other clock here"
)]
pub(crate) fn now() -> Duration {
    use std::time::SystemTime;

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

/// Programs share nothing there, so it counts from the first call.
#[cfg(any(not(any(unix, windows)), tower_local_service_unsupported))]
pub(crate) fn now() -> Duration {
    use std::sync::LazyLock;

    use tokio::time::Instant;

    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    FIRST.elapsed()
}
