//! A container that was started: how it ended, what it writes, its stop.

use std::{pin::Pin, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    api::{ApiError, Engine},
    guarantees,
    lifeline::Lifeline,
};
use crate::launch::{BoxFuture, Exit, Guarantees, Look, OutputSink, OutputStream, Running};

/// How long the rest of its output is waited for when it has ended.
const REST: Duration = Duration::from_millis(500);
/// The pause before an engine is asked again that did not answer.
const PAUSE: Duration = Duration::from_millis(100);

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// How the container came to run.
pub(super) struct Started {
    /// What the engine calls it: another container that gets its name later has another one.
    pub(super) id: String,
    /// A program that has ended had left it.
    pub(super) taken_over: bool,
    /// `None` if it was taken over, and where there can be none.
    pub(super) lifeline: Option<Lifeline>,
}

pub(super) struct Instance {
    engine: Arc<Engine>,
    id: String,
    /// Reads what it writes, and sends signals.
    tasks: JoinSet<()>,
    /// `None` once it has ended.
    ending: Option<Work<Exit>>,
    exit: Option<Exit>,
    /// `None` before it has ended, and once it is removed.
    removing: Option<Work<()>>,
    is_removed: bool,
    lifeline: Option<Lifeline>,
}

impl Instance {
    pub(super) fn new(engine: Arc<Engine>, started: Started, output: OutputSink) -> Self {
        let id = started.id;
        let mut reading = JoinSet::new();
        let logs = (engine.clone(), id.clone(), started.taken_over);
        reading.spawn(read(logs, output.clone()));
        let ending = ended(engine.clone(), id.clone(), output, reading);
        Self {
            engine,
            id,
            tasks: JoinSet::new(),
            ending: Some(Box::pin(ending)),
            exit: None,
            removing: None,
            is_removed: false,
            lifeline: started.lifeline,
        }
    }

    fn signal(&mut self, signal: &'static str) {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        // A container that has ended gets none.
        self.tasks
            .spawn(async move { drop(engine.signal(&id, signal).await) });
    }
}

impl Running for Instance {
    /// Its number would be one of the engine's machine.
    fn id(&self) -> Option<u32> {
        None
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            if let Some(ending) = &mut self.ending {
                self.exit = Some(ending.await);
                self.ending = None;
            }
            self.exit.unwrap_or_default()
        })
    }

    fn gone(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.is_removed {
                return;
            }
            let (engine, id) = (self.engine.clone(), self.id.clone());
            let removing = self
                .removing
                .get_or_insert_with(|| Box::pin(removed(engine, id)));
            removing.await;
            self.is_removed = true;
            self.removing = None;
            if let Some(lifeline) = self.lifeline.take() {
                lifeline.end();
            }
        })
    }

    fn is_alive(&mut self) -> bool {
        self.exit.is_none()
    }

    fn look(&self) -> BoxFuture<'static, Look> {
        let (engine, id) = (self.engine.clone(), self.id.clone());
        Box::pin(async move {
            let error = engine.inspect(&id).await.err();
            Look {
                obstacle: error.map(|it| {
                    format!("{it}: start the engine again; the service works once it answers")
                }),
                ..Look::default()
            }
        })
    }

    fn stop(&mut self) {
        self.signal("SIGTERM");
    }

    fn kill(&mut self) {
        self.signal("SIGKILL");
    }

    /// One without a watchdog runs on when your program is killed.
    fn guarantees(&self) -> Option<Guarantees> {
        Some(guarantees(self.lifeline.is_some()))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if !self.is_removed {
            self.engine.remove_in_background(&self.id);
        }
    }
}

/// Resolves when it has ended, and its output is complete.
async fn ended(
    engine: Arc<Engine>,
    id: String,
    output: OutputSink,
    mut reading: JoinSet<()>,
) -> Exit {
    if let Err(error) = engine.wait(&id).await {
        // It may have been removed by hand. Without the engine, its port is dead in any case.
        output
            .tell(&format!("the end of the container is not known: {error}"))
            .await;
    }
    let found = engine.inspect(&id).await;
    drop(timeout(REST, reading.join_next()).await);
    let Ok(Some(container)) = found else {
        return Exit::default();
    };
    if container.ran_out_of_memory() {
        output
            .tell("the container was killed: it needed more memory than it may have")
            .await;
    }
    container
        .exit_code()
        .map_or_else(Exit::default, Exit::with_code)
}

/// Resolves when the engine has no such container.
async fn removed(engine: Arc<Engine>, id: String) {
    loop {
        let removed: Result<(), ApiError> = engine.remove(&id).await;
        if removed.is_ok() && matches!(engine.inspect(&id).await, Ok(None)) {
            return;
        }
        sleep(PAUSE).await;
    }
}

/// Reads what it writes, to the end: frames of a stream, a length and so many bytes.
async fn read((engine, id, from_end): (Arc<Engine>, String, bool), output: OutputSink) {
    let Ok(mut logs) = engine.logs(&id, from_end).await else {
        return;
    };
    let mut rest = Vec::new();
    while let Ok(Some(more)) = logs.next().await {
        rest.extend_from_slice(&more);
        while let Some((stream, length)) = frame(&rest) {
            output.write(stream, &rest[HEAD..HEAD + length]).await;
            rest.drain(..HEAD + length);
        }
    }
    output.end(OutputStream::Stdout).await;
    output.end(OutputStream::Stderr).await;
}

const HEAD: usize = 8;

/// The stream and the length of the first frame, once it is whole.
fn frame(bytes: &[u8]) -> Option<(OutputStream, usize)> {
    let head = bytes.get(..HEAD)?;
    let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let length = usize::try_from(length).ok()?;
    let stream = if head[0] == 2 {
        OutputStream::Stderr
    } else {
        OutputStream::Stdout
    };
    (bytes.len() >= HEAD + length).then_some((stream, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_taken_once_it_is_whole() {
        let bytes = [2, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c', 1];
        assert_eq!(frame(&bytes), Some((OutputStream::Stderr, 3)));
        assert_eq!(frame(&bytes[..10]), None);
        assert_eq!(frame(&bytes[..4]), None);
        assert_eq!(frame(&bytes[11..]), None);
    }
}
