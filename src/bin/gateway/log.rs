//! The log, on stderr. It is best effort: a reader that pauses or is gone, a full disk or a closed terminal
//! costs lines, and nothing else.
//!
//! `tracing_subscriber` alone would write from the thread that has something to say, wait with it for a
//! reader that pauses, and panic when the line can be written nowhere. (`tracing-appender` has such a
//! thread, too, but writes to stderr itself when it ends, and waits there.)

use std::{
    io::{self, Write},
    panic,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use tokio::sync::Notify;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// How many lines wait for a reader that pauses.
const WAITING: usize = 4096;

/// How many bytes are written at once.
const MOST_AT_ONCE: usize = 64 * 1024;

/// How long the writer rests after it has written.
const REST: Duration = Duration::from_millis(2);

/// A writer that neither fails nor waits. Clones write to the same log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    lines: SyncSender<Message>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    lost: AtomicU64,
    /// stderr is a terminal that no longer exists.
    terminal_gone: Notify,
}

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl Log {
    /// Begins the log: events that `RUST_LOG` selects, and panics.
    pub(crate) fn begin() -> Self {
        let (lines, received) = mpsc::sync_channel(WAITING);
        let log = Self {
            lines,
            state: Arc::default(),
        };
        let state = log.state.clone();
        let writes = move || write(&received, &state, io::stderr());
        // Without a thread all lines are lost, and counted.
        drop(thread::Builder::new().name("log".into()).spawn(writes));
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(log.clone())
            .log_internal_errors(false)
            .init();
        // The standard hook would wait for the lock of stderr, which a write that waits has.
        let panics = log.clone();
        panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            panics.line(&format!(
                "thread '{}' {panic}",
                thread.name().unwrap_or("?")
            ));
        }));
        log
    }

    /// A line that no filter hides.
    pub(crate) fn line(&self, text: &str) {
        self.queue(format!("{text}\n").into_bytes());
    }

    /// Waits until all of it is written, but no longer than that.
    pub(crate) fn flush(&self, limit: Duration) {
        let (written, is_written) = mpsc::sync_channel(1);
        if self.lines.try_send(Message::Flush(written)).is_ok() {
            let _ = is_written.recv_timeout(limit);
        }
    }

    /// Comes when stderr turns out to be a terminal that no longer exists.
    pub(crate) async fn terminal_gone(&self) {
        self.state.terminal_gone.notified().await;
    }

    fn queue(&self, line: Vec<u8>) {
        if self.lines.try_send(Message::Line(line)).is_err() {
            self.state.lost.fetch_add(1, Relaxed);
        }
    }
}

impl Write for Log {
    /// The subscriber writes an event at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes what comes, as many lines at once as there are. What cannot be written is counted, and reported once
/// something can be written.
fn write(messages: &Receiver<Message>, state: &State, mut to: impl Write) {
    for message in messages {
        let mut lines = Lines::default();
        let mut flushed = lines.add(message);
        while flushed.is_none() && lines.text.len() < MOST_AT_ONCE {
            let Ok(message) = messages.try_recv() else {
                break;
            };
            flushed = lines.add(message);
        }
        lines.write(state, &mut to);
        match flushed {
            Some(flushed) => drop(flushed.try_send(())),
            // A thread that is not waited for need not be woken for each line.
            None => thread::sleep(REST),
        }
    }
}

/// Lines that are written at once.
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    count: u64,
}

impl Lines {
    /// Ends the wait for all lines before it, which are written.
    fn add(&mut self, message: Message) -> Option<SyncSender<()>> {
        match message {
            Message::Line(line) => {
                self.text.extend_from_slice(&line);
                self.count += 1;
                None
            }
            Message::Flush(written) => Some(written),
        }
    }

    fn write(self, state: &State, to: &mut impl Write) {
        if self.count == 0 {
            return;
        }
        let lost = state.lost.swap(0, Relaxed);
        let report = if lost == 0 {
            Ok(())
        } else {
            // The line before may have been written in part.
            writeln!(to, "\ngateway: {lost} lines of this log were lost")
        };
        let Err(error) = report.and_then(|()| to.write_all(&self.text)) else {
            return;
        };
        state.lost.fetch_add(lost + self.count, Relaxed);
        if is_of_closed_terminal(&error) {
            state.terminal_gone.notify_one();
        }
    }
}

#[cfg(unix)]
fn is_of_closed_terminal(error: &io::Error) -> bool {
    use rustix::io::Errno;

    Errno::from_io_error(error) == Some(Errno::IO)
}

/// The system ends the program there.
#[cfg(not(unix))]
fn is_of_closed_terminal(_: &io::Error) -> bool {
    false
}
