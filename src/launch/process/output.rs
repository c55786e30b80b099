//! Reads what a service writes: always, to the end, into bounded memory.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io, mem,
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use memchr::{memrchr, memrchr3};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{ChildStderr, ChildStdout},
    runtime::Handle,
    sync::mpsc,
};
use tracing::{Dispatch, Level, instrument::WithSubscriber};

use super::text::{show, show_end};
use crate::config::Secrets;

/// How many bytes are kept.
const KEPT: usize = 64 * 1024;
/// How many bytes are read at once.
const CHUNK: usize = 16 * 1024;
/// A longer line counts as several lines.
const LONGEST_LINE: usize = 8 * 1024;

/// What an event needs besides the line itself.
#[derive(Clone)]
pub(super) struct LogContext {
    /// The service's name.
    pub(super) service: String,
    /// What must not be shown.
    pub(super) secrets: Arc<Secrets>,
}

/// The two streams of a process.
#[derive(Clone, Copy, Debug)]
enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The last 64 KiB that a process wrote.
#[derive(Default)]
pub(super) struct Tail {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    whole: VecDeque<u8>,
    // Bytes at the front have been dropped.
    cut: bool,
    // The line that each stream has begun. Lines are added whole, so that a line of one stream cannot
    // divide a secret in the other.
    begun: [Vec<u8>; 2],
}

impl Tail {
    /// The text that was kept, without secrets, and with control characters escaped.
    pub(super) fn text(&self, secrets: &Secrets) -> String {
        let (mut bytes, mut cut) = {
            let kept = self.lock();
            let mut bytes: Vec<u8> = kept.whole.iter().copied().collect();
            for begun in kept.begun.iter().filter(|begun| !begun.is_empty()) {
                if bytes.last().is_some_and(|byte| *byte != b'\n') {
                    bytes.push(b'\n');
                }
                bytes.extend_from_slice(begun);
            }
            (bytes, kept.cut)
        };
        if bytes.len() > KEPT {
            bytes.drain(..bytes.len() - KEPT);
            cut = true;
        }
        let show = if cut { show_end } else { show };
        show(&bytes, secrets)
    }

    /// Adds what was read, and returns the lines that it completes.
    fn push(&self, stream: Stream, chunk: &[u8]) -> Vec<u8> {
        let mut kept = self.lock();
        let begun = &mut kept.begun[stream as usize];
        begun.extend_from_slice(chunk);
        let rest = begun.split_off(end_of_lines(begun));
        let lines = mem::replace(begun, rest);
        kept.keep(&lines);
        lines
    }

    /// Ends a stream, and returns its last line if that has no line end.
    fn end(&self, stream: Stream) -> Vec<u8> {
        let mut kept = self.lock();
        let line = mem::take(&mut kept.begun[stream as usize]);
        kept.keep(&line);
        line
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn keep(&mut self, bytes: &[u8]) {
        self.whole.extend(bytes);
        let excess = self.whole.len().saturating_sub(KEPT);
        self.whole.drain(..excess);
        self.cut |= excess > 0;
    }
}

/// Where the last complete line ends. A line that is too long is divided.
fn end_of_lines(bytes: &[u8]) -> usize {
    let after = |at: usize| at + 1;
    if let Some(newline) = memrchr(b'\n', bytes) {
        return after(newline);
    }
    if bytes.len() < LONGEST_LINE {
        return 0;
    }
    // Secrets contain no spaces, so dividing at a space divides no secret.
    let space = memrchr3(b' ', b'\t', b'\r', bytes);
    space.map_or(bytes.len(), after)
}

/// Tells when both streams have ended.
pub(super) struct Pipes {
    open: mpsc::Receiver<Infallible>,
}

impl Pipes {
    /// Resolves when no process can write any more, and everything has been read. Cancel safe.
    pub(super) async fn ended(&mut self) {
        // Nothing is ever sent: this resolves when the last sender is dropped.
        self.open.recv().await;
    }
}

/// Starts to read both streams of a process. The tasks continue to the end of the streams even if the
/// [`Process`](super::Process) is dropped: without a reader, SIGPIPE would end the process.
pub(super) fn read(
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    context: LogContext,
    dispatch: &Dispatch,
    runtime: &Handle,
) -> (Arc<Tail>, Pipes) {
    let tail = Arc::<Tail>::default();
    let context = Arc::new(context);
    let (sender, open) = mpsc::channel(1);
    let reader = |stream| Reader {
        stream,
        tail: Arc::clone(&tail),
        context: Arc::clone(&context),
        may_log: true,
        _open: sender.clone(),
    };
    if let Some(stdout) = stdout {
        let task = reader(Stream::Stdout).run(stdout);
        drop(runtime.spawn(task.with_subscriber(dispatch.clone())));
    }
    if let Some(stderr) = stderr {
        let task = reader(Stream::Stderr).run(stderr);
        drop(runtime.spawn(task.with_subscriber(dispatch.clone())));
    }
    (tail, Pipes { open })
}

struct Reader {
    stream: Stream,
    tail: Arc<Tail>,
    context: Arc<LogContext>,
    // Whether the subscriber has not panicked yet.
    may_log: bool,
    _open: mpsc::Sender<Infallible>,
}

impl Reader {
    async fn run(mut self, mut pipe: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK];
        loop {
            match pipe.read(&mut chunk).await {
                Ok(0) => break,
                Ok(length) => {
                    let lines = self.tail.push(self.stream, &chunk[..length]);
                    self.log(&lines);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let line = self.tail.end(self.stream);
        self.log(&line);
    }

    fn log(&mut self, lines: &[u8]) {
        let enabled = tracing::enabled!(target: "tower_local_service::output", Level::DEBUG);
        if !enabled || lines.is_empty() || !self.may_log {
            return;
        }
        // A panic of a subscriber must not end the reader, and with it the service.
        let logged = panic::catch_unwind(AssertUnwindSafe(|| {
            let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
            for line in lines.split(|byte| *byte == b'\n') {
                self.log_line(&show(line, &self.context.secrets));
            }
        }));
        self.may_log = logged.is_ok();
    }

    fn log_line(&self, line: &str) {
        for piece in pieces(line) {
            tracing::debug!(
                target: "tower_local_service::output",
                service = self.context.service,
                stream = self.stream.name(),
                "{piece}"
            );
        }
    }
}

/// The line in pieces that are short enough; at least one piece.
fn pieces(mut line: &str) -> Vec<&str> {
    let mut pieces = Vec::with_capacity(1);
    while line.len() > LONGEST_LINE {
        let is_end = |at: &usize| line.is_char_boundary(*at);
        let end = (1..=LONGEST_LINE).rev().find(is_end).unwrap_or(line.len());
        let (piece, rest) = line.split_at(end);
        pieces.push(piece);
        line = rest;
    }
    pieces.push(line);
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn secret(value: &str) -> Secrets {
        Secrets {
            values: vec![value.to_owned()],
        }
    }

    #[test]
    fn only_the_end_is_kept_in_bounded_memory() {
        let tail = Tail::default();
        for _ in 0..100 {
            drop(tail.push(Stream::Stdout, &[b'x'; CHUNK]));
            let kept = tail.lock();
            assert!(kept.whole.len() <= KEPT && kept.begun[0].len() <= LONGEST_LINE + CHUNK);
        }
        drop(tail.push(Stream::Stdout, b"last\n"));
        let text = tail.text(&Secrets::default());
        assert!(text.len() <= KEPT && text.ends_with("last\n"));
    }

    #[test]
    fn a_line_without_an_end_is_shown() {
        let tail = Tail::default();
        drop(tail.push(Stream::Stderr, b"panicked at"));
        drop(tail.push(Stream::Stdout, b"loading\n50%"));
        assert_eq!(tail.text(&Secrets::default()), "loading\n50%\npanicked at");
    }

    #[test]
    fn a_secret_is_found_across_chunks_and_streams() {
        let tail = Tail::default();
        drop(tail.push(Stream::Stdout, b"key sk-123"));
        drop(tail.push(Stream::Stderr, b"warning\n"));
        drop(tail.push(Stream::Stdout, b"45678\n"));
        let text = tail.text(&secret("sk-12345678"));
        assert_eq!(text, "warning\nkey [redacted]\n");
    }

    #[test]
    fn the_end_of_a_secret_at_the_front_is_not_shown() {
        let tail = Tail::default();
        drop(tail.push(Stream::Stdout, b"sk-12345678"));
        drop(tail.push(Stream::Stdout, &vec![b'x'; KEPT - 4]));
        drop(tail.end(Stream::Stdout));
        let text = tail.text(&secret("sk-12345678"));
        assert!(text.starts_with("xxxx"), "{}", &text[..20]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let line = "é".repeat(LONGEST_LINE);
        let pieces = pieces(&line);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() <= LONGEST_LINE));
        assert_eq!(pieces.concat(), line);
        assert_eq!(super::pieces(""), [""]);
    }

    const SECRET: &str = "sk-0123456789";
    /// The longest text that is shown: each byte can become an escape.
    const MOST: usize = KEPT * "\\u{200b}".len();

    /// Bytes of which many matter: ends of lines, controls, parts of characters, and the secret.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(SECRET.as_bytes().to_vec()),
            vec(any::<u8>(), 0..20),
            vec(
                prop::sample::select(&b"\n\r\x1b sk-0\xe2\x80\x8b"[..]),
                0..20
            ),
        ];
        (vec(part, 0..20), 1..128_usize).prop_map(|(parts, times)| parts.concat().repeat(times))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever a process writes, and however it is read.
        #[test]
        fn no_secret_is_shown_nor_anything_that_moves_a_cursor(
            pieces in vec((any::<bool>(), piece()), 0..20),
        ) {
            let tail = Tail::default();
            for (is_stderr, piece) in pieces {
                let stream = if is_stderr { Stream::Stderr } else { Stream::Stdout };
                drop(tail.push(stream, &piece));
            }
            let values = vec![SECRET.to_owned()];
            let text = tail.text(&Secrets { values });
            prop_assert!(!text.contains(SECRET));
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
            prop_assert!(text.len() <= MOST, "{}", text.len());
        }
    }
}
