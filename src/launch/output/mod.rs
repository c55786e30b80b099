//! What servers write: always read to its end, kept in bounded memory, given to those that follow it and to `tracing`,
//! without secrets.
//!
//! [`tail`] keeps it, [`events`] gives its lines to `tracing` on a thread of its own, as a subscriber may block or panic.

mod events;
mod tail;
mod taken_port;
mod text;

use std::{fmt, sync::Arc};

use serde::Serialize;
use tokio::sync::broadcast;
use tracing::dispatcher;

use self::{
    events::{Log, LogContext},
    tail::Tail,
};
pub(crate) use self::{
    tail::count as count_lines, taken_port::mentions_taken_port, text::show as show_output,
};
use crate::secrets::Secrets;

/// Takes what a server writes; a handle that is cheap to clone.
///
/// The last 64 KiB are kept for errors and for [`LocalService::output`](crate::LocalService::output), and each line is
/// an event for `tracing` at debug level. Secrets that the configuration and the launcher know are replaced.
#[derive(Clone)]
pub struct OutputSink {
    tail: Arc<Tail>,
    log: Arc<Log>,
}

impl OutputSink {
    /// Of an instance of this service, with the subscriber of this task.
    pub(crate) fn new(service: &str, secrets: Arc<Secrets>) -> Self {
        let context = LogContext {
            service: service.to_owned(),
            secrets,
        };
        let dispatch = dispatcher::get_default(Clone::clone);
        Self {
            tail: Arc::default(),
            log: Arc::new(Log::new(context, dispatch)),
        }
    }

    /// Takes more of a stream, which may end anywhere in a line. Waits for nothing but a log that is slow, and for that
    /// a tenth of a second at most.
    ///
    /// # Cancel safety
    ///
    /// What was given is kept; lines of it may be missing in the log.
    pub async fn write(&self, stream: OutputStream, bytes: &[u8]) {
        let lines = self.tail.push(stream, bytes);
        self.log.write(stream.name(), lines).await;
    }

    /// Adds what the launcher has to say, as lines of stderr.
    #[cfg(any(feature = "docker", feature = "kubernetes"))]
    pub(crate) async fn tell(&self, text: &str) {
        for line in text.lines() {
            let line = format!("{line}\n");
            self.write(OutputStream::Stderr, line.as_bytes()).await;
        }
    }

    /// Ends a stream: its last line may have no line end.
    ///
    /// # Cancel safety
    ///
    /// As [`write`](Self::write).
    pub async fn end(&self, stream: OutputStream) {
        let line = self.tail.end(stream);
        self.log.write(stream.name(), line).await;
    }

    /// The lines that were kept, and all that come after them.
    pub(crate) fn follow(&self, secrets: &Secrets) -> Followed {
        self.tail.follow(secrets)
    }

    /// The text that was kept, without secrets, and with control characters escaped. Earlier lines that name a failure
    /// are among it.
    pub(crate) fn text(&self, secrets: &Secrets) -> String {
        self.tail.text(secrets)
    }
}

impl fmt::Debug for OutputSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputSink").finish_non_exhaustive()
    }
}

/// What a service has written and writes.
pub(crate) struct Followed {
    /// Without secrets.
    pub(crate) kept: String,
    /// How many lines there were so far.
    pub(crate) so_far: u64,
    pub(crate) next: broadcast::Receiver<Lines>,
}

/// Some whole lines that a service has written, each but perhaps the last with a line feed at its end.
#[derive(Clone, Debug)]
#[expect(
    clippy::disallowed_types,
    reason = "the time is shown, and decides nothing"
)]
pub(crate) struct Lines {
    pub(crate) stream: OutputStream,
    pub(crate) at: std::time::SystemTime,
    /// How many lines came before these.
    pub(crate) first: u64,
    pub(crate) text: Arc<[u8]>,
}

/// One of the two streams to which a server writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl OutputStream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
