//! Waits for what should happen soon, with a limit.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

#[cfg(unix)]
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};
use tower_local_service::{Error, Lease, LocalService};

/// Longer than anything takes on a busy machine. By Wine, each start of a program takes long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 60 } else { 20 });

const PAUSE: Duration = Duration::from_millis(2);

/// Whether the condition became true in time.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
    }
    true
}

/// Waits until the condition is true; fails if it is not in time.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    async move { assert!(until(condition).await, "never: {what} ({place})") }
}

/// The same outside of a runtime.
pub(crate) fn blocking_until(mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

/// Fails if the future does not resolve in time.
#[track_caller]
pub(crate) fn within<F: Future>(what: &str, future: F) -> impl Future<Output = F::Output> {
    let place = std::panic::Location::caller();
    async move {
        let in_time = tokio::time::timeout(PATIENCE, future).await;
        in_time.unwrap_or_else(|_| panic!("hangs: {what} ({place})"))
    }
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The clock of the times that the fixture writes.
#[cfg(windows)]
pub(crate) fn now() -> Duration {
    use std::time::{SystemTime, UNIX_EPOCH};

    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970")
}

/// The clock of the times that the fixture writes.
#[cfg(unix)]
pub(crate) fn now() -> Duration {
    read(ClockId::Monotonic)
}

/// The processor time of all threads of this process.
#[cfg(unix)]
pub(crate) fn processor_time() -> Duration {
    read(ClockId::ProcessCPUTime)
}

#[cfg(unix)]
fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).expect("it counts from zero");
    Duration::new(
        seconds,
        u32::try_from(time.tv_nsec).expect("below a second"),
    )
}

pub(crate) fn since(begun: Duration) -> Duration {
    now().saturating_sub(begun)
}

/// A runtime of two threads.
pub(crate) fn two_workers() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime")
}

/// Runs a future without a runtime.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// An `acquire` that has been polled once, and so is waiting.
pub(crate) type Waiting = Pin<Box<dyn Future<Output = Result<Lease, Error>> + Send>>;

/// Asks for a lease that cannot be had at once.
pub(crate) async fn waiting(service: &LocalService) -> Waiting {
    let service = service.clone();
    let mut acquire: Waiting = Box::pin(async move { service.acquire().await });
    let first = std::future::poll_fn(|cx| Poll::Ready(acquire.as_mut().poll(cx).is_ready()));
    assert!(!first.await, "it has to be waited for");
    acquire
}
