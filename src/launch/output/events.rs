//! Gives the lines of services to `tracing`, on a thread of its own: a subscriber that blocks or panics
//! delays and ends nothing else. What it does not take in time is dropped, and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{self, Instant};
use tracing::{Dispatch, Level, dispatcher, level_filters::LevelFilter};

use super::text::show;
use crate::{
    log::{LINES, TARGET, isolated},
    secrets::Secrets,
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
        let weight = lines
            .len()
            .max(count * LEAST_BYTES_OF_A_LINE)
            .max(LEAST_BYTES_OF_A_PART);
        let part = Part {
            log: Arc::clone(self),
            stream,
            lines,
        };
        if !self.finds_room(weight).await || !self.queue(weight, part) {
            self.dropped
                .fetch_add(count.try_into().unwrap_or(0), Relaxed);
        }
    }

    /// Waits for room as long as subscribers take something.
    async fn finds_room(&self, weight: usize) -> bool {
        let (mut taken, mut since) = (LINES.taken(), Instant::now());
        while self.waiting.load(Relaxed) + weight > MOST_BYTES {
            let now_taken = LINES.taken();
            if now_taken != taken {
                (taken, since) = (now_taken, Instant::now());
            }
            if self.stuck_at.load(Relaxed) == taken || since.elapsed() >= PATIENCE {
                self.stuck_at.store(taken, Relaxed);
                return false;
            }
            time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    fn queue(&self, weight: usize, part: Part) -> bool {
        self.waiting.fetch_add(weight, Relaxed);
        let is_queued = LINES.queue(move || {
            part.log.waiting.fetch_sub(weight, Relaxed);
            part.emit();
        });
        if !is_queued {
            self.waiting.fetch_sub(weight, Relaxed);
        }
        is_queued
    }
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
            LINES.took_one();
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
