//! What a service writes, line by line.
#![expect(
    clippy::disallowed_types,
    reason = "the time is shown, and decides nothing"
)]

use std::{
    collections::VecDeque,
    fmt,
    future::Future as _,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use serde::{Serialize, Serializer};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        watch,
    },
    task,
};

use super::{events::millis, handle::Handle};
use crate::launch::{
    OutputSink, OutputStream,
    output::{Lines, count_lines, show_output},
};

/// A line that a service has written.
///
/// It serializes to a flat object:
///
/// ```json
/// { "instance": 1, "stream": "stderr", "atMs": 1795872000000, "missed": 0, "text": "loading the model" }
/// ```
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Line {
    /// The number of the instance that wrote it, as in [`Lease::instance`](crate::Lease::instance).
    pub instance: u64,
    /// Where it was written to; `None` for a line that was kept before you asked.
    pub stream: Option<OutputStream>,
    /// When it was read; `None` for a line that was kept before you asked.
    #[serde(rename = "atMs", serialize_with = "optional_millis")]
    pub at: Option<SystemTime>,
    /// How many lines were lost before this one, because they were not taken in time.
    pub missed: u64,
    /// The line without its end. Secrets of the configuration are replaced, and control characters are escaped.
    pub text: String,
}

/// What a service writes: see [`LocalService::output`](crate::LocalService::output).
pub struct Output {
    handle: Arc<Handle>,
    instances: watch::Receiver<Option<(u64, OutputSink)>>,
    following: Option<Following>,
    lines: VecDeque<Line>,
    missed: u64,
}

struct Following {
    instance: u64,
    next: broadcast::Receiver<Lines>,
    /// How many lines there were so far.
    so_far: u64,
}

impl Output {
    pub(super) fn of(handle: Arc<Handle>) -> Self {
        let mut instances = handle.client.board.written.subscribe();
        instances.mark_changed();
        Self {
            handle,
            instances,
            following: None,
            lines: VecDeque::new(),
            missed: 0,
        }
    }

    /// The next line: first those that are kept of the last instance, then each one that is written, also by later
    /// instances. There is always another one to wait for.
    ///
    /// # Cancel safety
    ///
    /// No line is lost.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn show(llama: tower_local_service::LocalService) {
    /// let mut output = llama.output();
    /// loop {
    ///     let line = output.next().await;
    ///     if line.missed > 0 {
    ///         println!("({} lines were lost)", line.missed);
    ///     }
    ///     println!("{}", line.text);
    /// }
    /// # }
    /// ```
    pub async fn next(&mut self) -> Line {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return line;
            }
            tokio::select! {
                // What the former instance wrote comes before what the next one writes.
                biased;
                lines = next_of(self.following.as_mut()) => self.add(&lines),
                changed = self.instances.changed() => match changed {
                    Ok(()) => self.follow(),
                    // Cannot happen: the handle, which lives, has the sender.
                    Err(_) => std::future::pending().await,
                },
            }
        }
    }

    /// The next line if there is one already: for the lines that are kept, without waiting for more.
    ///
    /// # Example
    ///
    /// ```
    /// # fn last_lines(llama: &tower_local_service::LocalService) -> Vec<String> {
    /// let mut output = llama.output();
    /// std::iter::from_fn(|| output.try_next()).map(|line| line.text).collect()
    /// # }
    /// ```
    pub fn try_next(&mut self) -> Option<Line> {
        // Without a budget: a task that has used up its own would be shown no line that is there.
        let next = pin!(task::unconstrained(self.next()));
        match next.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(line) => Some(line),
            Poll::Pending => None,
        }
    }

    fn follow(&mut self) {
        let Some((instance, written)) = self.instances.borrow_and_update().clone() else {
            return;
        };
        let followed = written.follow(&self.handle.attached.settings.secrets);
        for text in followed.kept.lines() {
            self.lines.push_back(Line {
                instance,
                stream: None,
                at: None,
                missed: std::mem::take(&mut self.missed),
                text: self.redacted(text),
            });
        }
        self.following = Some(Following {
            instance,
            next: followed.next,
            so_far: followed.so_far,
        });
    }

    fn add(&mut self, lines: &Lines) {
        let Some(following) = &mut self.following else {
            return;
        };
        self.missed += lines.first.saturating_sub(following.so_far);
        following.so_far = lines.first + count_lines(&lines.text);
        let instance = following.instance;
        let text = show_output(&lines.text, &self.handle.attached.settings.secrets);
        for text in text.lines() {
            self.lines.push_back(Line {
                instance,
                stream: Some(lines.stream),
                at: Some(lines.at),
                missed: std::mem::take(&mut self.missed),
                text: self.redacted(text),
            });
        }
    }

    /// Without the secrets of any handle of the process.
    fn redacted(&self, text: &str) -> String {
        let handles = self.handle.client.board.handles();
        let secrets = handles.values().map(|handle| &handle.settings.secrets);
        secrets.fold(text.to_owned(), |text, secrets| secrets.redact(&text))
    }
}

#[expect(clippy::ref_option, reason = "this is how serde passes it")]
fn optional_millis<S: Serializer>(
    at: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => millis(at, serializer),
        None => serializer.serialize_none(),
    }
}

async fn next_of(following: Option<&mut Following>) -> Lines {
    let Some(following) = following else {
        return std::future::pending().await;
    };
    loop {
        match following.next.recv().await {
            Ok(lines) => return lines,
            // The numbers of the lines tell how many it were.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("service", &self.handle.name())
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}
