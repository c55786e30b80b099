//! What a system that is no Unix does not tell of processes.

use std::time::Duration;

use super::Holder;

#[expect(clippy::unused_async, reason = "as on other systems")]
pub(crate) async fn holder(_: u16) -> Option<Holder> {
    None
}

#[expect(clippy::unused_async, reason = "as on other systems")]
pub(crate) async fn last_use(_: u16) -> Option<Duration> {
    None
}

pub(crate) fn cpu_time_of(_: u32) -> Option<Duration> {
    None
}

pub(crate) fn shows_use() -> bool {
    false
}

/// It is not known, so a request is not sent again for that reason.
#[cfg(feature = "retry")]
pub(crate) fn is_running(_: u32) -> bool {
    true
}
