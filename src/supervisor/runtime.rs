//! The thread that the supervisors run on, so that no runtime of a caller has to live for them.

use std::{
    fs::File,
    io,
    sync::{Mutex, PoisonError},
    thread,
};

use tokio::runtime::{Builder, Handle};

/// More than a runtime opens at its start.
const DESCRIPTORS: usize = 8;

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
    // tokio panics where it lacks them, and then for good: so look whether they are to be had.
    drop(open(DESCRIPTORS)?);
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let started = runtime.handle().clone();
    thread::Builder::new()
        .name("local-service".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    *handle = Some(started.clone());
    Ok(started)
}

fn open(descriptors: usize) -> io::Result<Vec<File>> {
    (0..descriptors).map(|_| File::open("/dev/null")).collect()
}
