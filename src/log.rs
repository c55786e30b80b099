//! The crate's `tracing` events: their target, and warnings that are given once.

/// The target of the crate's events. Not the name of a module, which may change in any release.
pub(crate) const TARGET: &str = "tower_local_service";

/// Gives a warning the first time that this line is reached in your program, and never again.
macro_rules! warn_once {
    ($($event:tt)+) => {{
        static WARNED: ::std::sync::atomic::AtomicBool = ::std::sync::atomic::AtomicBool::new(false);
        if !WARNED.swap(true, ::std::sync::atomic::Ordering::Relaxed) {
            ::tracing::warn!(target: $crate::log::TARGET, $($event)+);
        }
    }};
}

pub(crate) use warn_once;
