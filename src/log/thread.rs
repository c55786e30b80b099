//! Threads that run the code of `tracing` subscribers, so that one that blocks delays nothing else.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::Duration,
};

use tracing::{dispatcher, level_filters::LevelFilter};

use super::isolated;

/// How long an event is waited for: much longer than a subscriber takes that does not block.
const PATIENCE: Duration = Duration::from_millis(100);

/// How many events may wait for a subscriber that takes none.
const MOST_EVENTS: usize = 4096;

/// The thread for the lines of servers.
pub(crate) static LINES: LogThread = LogThread::new("local-service-log");

/// The thread for the events of supervisors: a flood of lines does not delay them.
static EVENTS: LogThread = LogThread::new("local-service-events");

/// The thread for metrics: neither kind of log delays them.
#[cfg(feature = "metrics")]
static METRICS: LogThread = LogThread::new("local-service-metrics");

type Job = Box<dyn FnOnce() + Send>;

/// A thread that is started at first need, and runs one job after the other.
pub(crate) struct LogThread {
    name: &'static str,
    queue: Mutex<Option<Sender<Job>>>,
    waiting: AtomicUsize,
    /// How much subscribers have taken.
    taken: AtomicU64,
    /// How much that was at the last wait in vain.
    stuck_at: AtomicU64,
}

impl LogThread {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            queue: Mutex::new(None),
            waiting: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
            stuck_at: AtomicU64::new(u64::MAX),
        }
    }

    /// Queues the job. `false` if the system has no thread left for it.
    #[must_use]
    pub(crate) fn queue(&'static self, job: impl FnOnce() + Send + 'static) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.is_none() {
            let (sender, jobs) = mpsc::channel::<Job>();
            let work = move || {
                for job in jobs {
                    job();
                    self.took_one();
                    self.waiting.fetch_sub(1, AcqRel);
                }
            };
            let thread = thread::Builder::new().name(self.name.to_owned());
            *queue = thread.spawn(work).ok().map(|_| sender);
        }
        let Some(sender) = &*queue else {
            return false;
        };
        self.waiting.fetch_add(1, AcqRel);
        sender.send(Box::new(job)).is_ok()
    }

    /// A subscriber has taken one more event.
    pub(crate) fn took_one(&self) {
        self.taken.fetch_add(1, Relaxed);
    }

    /// How much subscribers have taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}

/// Gives something to the recorder of metrics, and does not wait for it. What a recorder does not take that blocks is
/// lost beyond a number.
#[cfg(feature = "metrics")]
pub(crate) fn record(job: impl FnOnce() + Send + 'static) {
    if METRICS.waiting.load(Acquire) < MOST_EVENTS {
        // Without a thread nothing is recorded.
        let _ = METRICS.queue(|| {
            isolated(job);
        });
    }
}

/// Gives an event of a supervisor to the subscriber of the caller, and waits for it as long as a subscriber takes
/// that does not block: so events are in order with what your program sees.
///
/// A subscriber that panics ends nothing. One that blocks costs a moment once; the events then wait for it, and beyond
/// a number of them they are lost.
pub(crate) fn emit(event: impl FnOnce() + Send + 'static) {
    if LevelFilter::current() == LevelFilter::OFF || EVENTS.waiting.load(Acquire) >= MOST_EVENTS {
        return;
    }
    let dispatch = dispatcher::get_default(Clone::clone);
    let (done, emitted) = mpsc::sync_channel::<()>(1);
    let is_queued = EVENTS.queue(move || {
        isolated(|| dispatcher::with_default(&dispatch, event));
        drop(done);
    });
    let taken = EVENTS.taken();
    if !is_queued || EVENTS.stuck_at.load(Relaxed) == taken {
        return;
    }
    if emitted.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        EVENTS.stuck_at.store(taken, Relaxed);
    }
}
