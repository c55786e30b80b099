//! Reads what a process writes: always, and to the end.

use std::{convert::Infallible, io};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{ChildStderr, ChildStdout},
    runtime::Handle,
    sync::mpsc,
};

use crate::launch::{OutputSink, OutputStream};

/// How many bytes are read at once.
const CHUNK: usize = 16 * 1024;

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

/// Starts to read both streams of a process. The tasks continue to the end of the streams even if what stands for the
/// process is dropped: without a reader, SIGPIPE would end it.
pub(super) fn read(
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    output: &OutputSink,
    runtime: &Handle,
) -> Pipes {
    let (sender, open) = mpsc::channel(1);
    let reader = |stream| Reader {
        stream,
        output: output.clone(),
        _open: sender.clone(),
    };
    if let Some(stdout) = stdout {
        drop(runtime.spawn(reader(OutputStream::Stdout).run(stdout)));
    }
    if let Some(stderr) = stderr {
        drop(runtime.spawn(reader(OutputStream::Stderr).run(stderr)));
    }
    Pipes { open }
}

struct Reader {
    stream: OutputStream,
    output: OutputSink,
    _open: mpsc::Sender<Infallible>,
}

impl Reader {
    async fn run(self, mut pipe: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK];
        loop {
            match pipe.read(&mut chunk).await {
                Ok(0) => break,
                Ok(length) => self.output.write(self.stream, &chunk[..length]).await,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.output.end(self.stream).await;
    }
}
