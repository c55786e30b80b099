//! The thread that the supervisors run on, so that no runtime of a caller has to live for them.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
};

use tokio::runtime::{Builder, Handle};

/// The crate's own runtime, started at first need. It is parked while there is nothing to do.
///
/// # Errors
///
/// The thread could not be started, for want of threads, memory or descriptors. The next call tries
/// again.
pub(crate) fn handle() -> io::Result<Handle> {
    static HANDLE: Mutex<Option<Handle>> = Mutex::new(None);

    let mut handle = HANDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*handle {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let ours = runtime.handle().clone();
    thread::Builder::new()
        .name("local-service".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    *handle = Some(ours.clone());
    Ok(ours)
}
