//! Reads what a process writes: always, and to the end.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{ChildStderr, ChildStdout},
    runtime::Handle,
    sync::mpsc,
    time::{Instant, timeout_at},
};

use crate::launch::{OutputSink, OutputStream};

/// How many bytes are read at once.
const CHUNK: usize = 16 * 1024;

/// How long the rest of the output is waited for at most while another process holds the pipes.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// So long nothing has to come, in two looks: the first may find a reader that had no time yet.
const LOOK: Duration = Duration::from_millis(25);
const QUIET_LOOKS: u32 = 2;

/// Tells when both streams have ended.
pub(super) struct Pipes {
    open: mpsc::Receiver<Infallible>,
    /// How often something was read.
    reads: Arc<AtomicU64>,
    flush: Option<Flush>,
}

/// How far the wait for the rest of the output is.
#[derive(Clone, Copy)]
struct Flush {
    until: Instant,
    look_ends: Instant,
    reads: u64,
    quiet: u32,
}

impl Pipes {
    /// Resolves when no process can write any more, and everything has been read. Cancel safe.
    pub(super) async fn ended(&mut self) {
        // Nothing is ever sent: this resolves when the last sender is dropped.
        self.open.recv().await;
    }

    /// The same; where another process holds the pipes, it resolves when nothing has come for 50 ms, and 500 ms after
    /// the first call at the latest. Cancel safe.
    pub(super) async fn flushed(&mut self) {
        let begun = Instant::now();
        let mut flush = *self.flush.get_or_insert_with(|| Flush {
            until: begun + FLUSH_LIMIT,
            look_ends: begun + LOOK,
            reads: self.reads.load(Relaxed),
            quiet: 0,
        });
        while flush.quiet < QUIET_LOOKS && flush.look_ends <= flush.until {
            if timeout_at(flush.look_ends, self.ended()).await.is_ok() {
                return;
            }
            let reads = self.reads.load(Relaxed);
            flush.quiet = if reads == flush.reads {
                flush.quiet + 1
            } else {
                0
            };
            flush.reads = reads;
            flush.look_ends = Instant::now() + LOOK;
            self.flush = Some(flush);
        }
    }
}

/// Starts to read both streams of a process. The tasks continue to the end of the streams even if what stands for the
/// process is dropped: without a reader, SIGPIPE would end it.
pub(super) fn read(
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    output: &OutputSink,
    runtime: &Handle,
) -> Pipes {
    let (sender, open) = mpsc::channel(1);
    let reads = Arc::new(AtomicU64::new(0));
    let reader = |stream| Reader {
        stream,
        output: output.clone(),
        reads: reads.clone(),
        _open: sender.clone(),
    };
    if let Some(stdout) = stdout {
        drop(runtime.spawn(reader(OutputStream::Stdout).run(stdout)));
    }
    if let Some(stderr) = stderr {
        drop(runtime.spawn(reader(OutputStream::Stderr).run(stderr)));
    }
    Pipes {
        open,
        reads,
        flush: None,
    }
}

struct Reader {
    stream: OutputStream,
    output: OutputSink,
    reads: Arc<AtomicU64>,
    _open: mpsc::Sender<Infallible>,
}

impl Reader {
    async fn run(self, mut pipe: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK];
        loop {
            match pipe.read(&mut chunk).await {
                Ok(0) => break,
                Ok(length) => {
                    self.reads.fetch_add(1, Relaxed);
                    self.output.write(self.stream, &chunk[..length]).await;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.output.end(self.stream).await;
    }
}
