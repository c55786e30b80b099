//! Gives the lines of services to `tracing`, on a thread of its own: a subscriber that blocks or panics
//! delays and ends nothing else. What it does not take in time is dropped, and counted.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{self, SendError, Sender},
    },
    thread,
    time::Duration,
};

use tokio::time::{self, Instant};
use tracing::{Dispatch, Level, dispatcher, level_filters::LevelFilter};

use super::text::show;
use crate::{
    config::Secrets,
    log::{TARGET, isolated},
};

/// How much of a service may wait for subscribers: about what a program can write in a tenth of a second, and few
/// enough lines that a subscriber has them soon after it could take none.
const MOST_BYTES: usize = 4 << 20;
const LEAST_BYTES_OF_A_LINE: usize = 64;
const LEAST_BYTES_OF_A_PART: usize = 1024;

/// How long a flood waits for a subscriber that takes nothing.
const PATIENCE: Duration = Duration::from_millis(100);

/// A longer line is several events.
const LONGEST_EVENT: usize = 8 * 1024;

/// What an event needs besides the line itself.
pub(super) struct LogContext {
    /// The service's name.
    pub(super) service: String,
    /// What must not be shown.
    pub(super) secrets: Arc<Secrets>,
}

/// Where the lines of one service go.
pub(super) struct Log {
    context: LogContext,
    dispatch: Dispatch,
    /// How many bytes wait. A service that floods the log takes no room from the others.
    waiting: AtomicUsize,
    /// How much subscribers had taken at the last wait in vain.
    stuck_at: AtomicU64,
    /// Lines that found no room and were not reported yet.
    dropped: AtomicU64,
    /// Whether the subscriber has panicked; it is not asked again.
    is_broken: AtomicBool,
}

/// Some lines of one stream.
struct Part {
    log: Arc<Log>,
    stream: &'static str,
    lines: Vec<u8>,
    /// What it takes of `MOST_BYTES`.
    weight: usize,
}

impl Log {
    pub(super) fn new(context: LogContext, dispatch: Dispatch) -> Self {
        Self {
            context,
            dispatch,
            waiting: AtomicUsize::new(0),
            stuck_at: AtomicU64::new(u64::MAX),
            dropped: AtomicU64::new(0),
            is_broken: AtomicBool::new(false),
        }
    }

    /// Takes whole lines. Runs no code of a subscriber, and waits for none that takes nothing: a flood is
    /// logged as fast as its log is, and a log that stands still costs a moment, once.
    pub(super) async fn write(self: &Arc<Self>, stream: &'static str, lines: Vec<u8>) {
        if lines.is_empty() || LevelFilter::current() < Level::DEBUG || self.is_broken.load(Relaxed)
        {
            return;
        }
        let count = memchr::memchr_iter(b'\n', &lines).count().max(1);
        let mut part = Part {
            log: Arc::clone(self),
            stream,
            weight: lines
                .len()
                .max(count * LEAST_BYTES_OF_A_LINE)
                .max(LEAST_BYTES_OF_A_PART),
            lines,
        };
        let (mut taken, mut since) = (TAKEN.load(Relaxed), Instant::now());
        while let Err(refused) = enqueue(part) {
            part = refused;
            let now_taken = TAKEN.load(Relaxed);
            if now_taken != taken {
                (taken, since) = (now_taken, Instant::now());
            }
            if self.stuck_at.load(Relaxed) == taken || since.elapsed() >= PATIENCE {
                self.stuck_at.store(taken, Relaxed);
                self.dropped
                    .fetch_add(count.try_into().unwrap_or(0), Relaxed);
                return;
            }
            time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// How many lines and parts subscribers have taken. A part of many lines takes long enough to look like a subscriber
/// that stands still.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Hands over the part, or gives it back if there is no room.
fn enqueue(part: Part) -> Result<(), Part> {
    let (log, weight) = (Arc::clone(&part.log), part.weight);
    if log.waiting.load(Relaxed) + weight > MOST_BYTES {
        return Err(part);
    }
    let Some(queue) = queue() else {
        return Err(part);
    };
    log.waiting.fetch_add(weight, Relaxed);
    queue.send(part).map_err(|SendError(part)| {
        log.waiting.fetch_sub(weight, Relaxed);
        part
    })
}

/// The queue of the thread, which is started at first need; `None` where the system has no thread left.
fn queue() -> Option<Sender<Part>> {
    static QUEUE: Mutex<Option<Sender<Part>>> = Mutex::new(None);
    let mut queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner);
    if queue.is_none() {
        let (sender, parts) = mpsc::channel::<Part>();
        let work = move || {
            for part in parts {
                part.log.waiting.fetch_sub(part.weight, Relaxed);
                part.emit();
                TAKEN.fetch_add(1, Relaxed);
            }
        };
        let thread = thread::Builder::new().name("local-service-log".to_owned());
        *queue = thread.spawn(work).ok().map(|_| sender);
    }
    queue.clone()
}

impl Part {
    fn emit(&self) {
        if self.log.is_broken.load(Relaxed) {
            return;
        }
        let emitted = isolated(|| {
            dispatcher::with_default(&self.log.dispatch, || self.emit_each());
        });
        if emitted.is_none() {
            self.log.is_broken.store(true, Relaxed);
        }
    }

    fn emit_each(&self) {
        if !tracing::enabled!(target: "tower_local_service::output", Level::DEBUG) {
            self.log.dropped.store(0, Relaxed);
            return;
        }
        let dropped = self.log.dropped.swap(0, Relaxed);
        if dropped > 0 {
            tracing::warn!(
                target: TARGET,
                service = self.log.context.service,
                lines = dropped,
                "lines of the service's output were not logged: the log is slower than the service writes"
            );
        }
        let lines = self.lines.strip_suffix(b"\n").unwrap_or(&self.lines);
        for line in lines.split(|byte| *byte == b'\n') {
            for piece in pieces(&show(line, &self.log.context.secrets)) {
                tracing::debug!(
                    target: "tower_local_service::output",
                    service = self.log.context.service,
                    stream = self.stream,
                    "{piece}"
                );
            }
            TAKEN.fetch_add(1, Relaxed);
        }
    }
}

/// The line in pieces that are short enough; at least one piece.
fn pieces(mut line: &str) -> Vec<&str> {
    let mut pieces = Vec::with_capacity(1);
    while line.len() > LONGEST_EVENT {
        let is_end = |at: &usize| line.is_char_boundary(*at);
        let end = (1..=LONGEST_EVENT).rev().find(is_end).unwrap_or(line.len());
        let (piece, rest) = line.split_at(end);
        pieces.push(piece);
        line = rest;
    }
    pieces.push(line);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = "é".repeat(LONGEST_EVENT);
        let pieces = pieces(&line);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= LONGEST_EVENT));
        assert_eq!(pieces.concat(), line);
        assert_eq!(super::pieces(""), [""]);
    }
}
