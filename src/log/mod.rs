//! The crate's `tracing` events: their target, warnings that are given once, and what keeps a subscriber's panic
//! from everything else.

mod thread;

#[cfg(feature = "metrics")]
pub(crate) use self::thread::record;
pub(crate) use self::thread::{LINES, emit};

use std::panic::{self, AssertUnwindSafe};

/// The target of the crate's events. Not the name of a module, which may change in any release.
pub(crate) const TARGET: &str = "tower_local_service";

/// Runs code of a subscriber. `None` if it panicked: a log that cannot be written, on a closed pipe for one, breaks
/// nothing else.
pub(crate) fn isolated<T>(event: impl FnOnce() -> T) -> Option<T> {
    match panic::catch_unwind(AssertUnwindSafe(event)) {
        Ok(done) => Some(done),
        Err(payload) => {
            // Foreign code made it, and its drop may panic, too.
            drop(panic::catch_unwind(AssertUnwindSafe(|| drop(payload))));
            None
        }
    }
}

/// Gives a warning the first time that this line is reached in your program, and never again.
macro_rules! warn_once {
    ($($event:tt)+) => {{
        static WARNED: ::std::sync::atomic::AtomicBool = ::std::sync::atomic::AtomicBool::new(false);
        if !WARNED.swap(true, ::std::sync::atomic::Ordering::Relaxed) {
            $crate::log::isolated(|| ::tracing::warn!(target: $crate::log::TARGET, $($event)+));
        }
    }};
}

pub(crate) use warn_once;
