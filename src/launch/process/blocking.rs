//! Work that may block, each on a thread of its own: tokio's pool for that panics where the system has
//! no thread left.

use std::{io, thread};

use tokio::sync::oneshot;

/// Begins it. It is done to its end, whether or not anybody waits for the result; the receiver fails if
/// it panics.
///
/// # Errors
///
/// The system has no thread left, and nothing is done.
pub(super) fn begin<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (done, result) = oneshot::channel();
    thread::Builder::new()
        .name("local-service-work".to_owned())
        .spawn(move || drop(done.send(work())))?;
    Ok(result)
}
