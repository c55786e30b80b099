//! Runs work that may block, each on a thread of its own. tokio's pool for blocking work panics where
//! the system has no thread left.

use std::{io, thread};

use tokio::sync::oneshot;

/// Begins the work. It runs to its end, whether or not anything waits for its result. The receiver
/// fails if the work panics.
///
/// # Errors
///
/// The system has no thread left. Nothing was begun.
pub(in crate::launch) fn begin<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (done, result) = oneshot::channel();
    thread::Builder::new()
        .name("local-service-work".to_owned())
        .spawn(move || drop(done.send(work())))?;
    Ok(result)
}

// Windows is asked nothing.
#[cfg(unix)]
/// Begins the work as [`begin`] does. Where the system has no thread left, the work is done on this
/// thread before this returns: for work that takes milliseconds and must not be left undone.
pub(super) fn begin_or_do<T: Send + 'static>(
    work: impl FnOnce() -> T + Clone + Send + 'static,
) -> oneshot::Receiver<T> {
    begin(work.clone()).unwrap_or_else(|_| {
        let (done, result) = oneshot::channel();
        drop(done.send(work()));
        result
    })
}
