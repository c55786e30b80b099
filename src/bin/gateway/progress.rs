//! How long an answer may pause: comments and pings of a stream say that its connection works, and nothing of
//! its model.

use std::{
    error, fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::{self, Sleep};
use tower_local_service::BoxError;

/// A body that breaks off when nothing of an answer has come for that long.
pub(crate) struct Progress<B> {
    body: Pin<Box<B>>,
    limit: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    /// If it comes as events.
    events: Option<Events>,
}

/// The pause was too long.
#[derive(Debug)]
pub(crate) struct Stalled;

impl<B> Progress<B> {
    pub(crate) fn new(body: B, limit: Duration, is_events: bool) -> Self {
        Self {
            body: Box::pin(body),
            limit,
            pause: None,
            events: is_events.then(Events::default),
        }
    }

    fn is_progress(&mut self, frame: &Frame<Bytes>) -> bool {
        let Some(data) = frame.data_ref() else {
            return true;
        };
        match &mut self.events {
            Some(events) => events.have_content(data),
            None => !data.is_empty(),
        }
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // A client that does not read does not make it longer: it begins when somebody waits.
        let limit = self.limit;
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(time::sleep(limit)));
        pause.as_mut().poll(cx)
    }
}

impl<B> HttpBody for Progress<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = self.body.as_mut().poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) if !self.is_progress(frame) => {}
            Poll::Ready(_) => {
                self.pause = None;
                return frame.map_err(Into::into);
            }
            Poll::Pending => {}
        }
        if self.poll_pause(cx).is_ready() {
            return Poll::Ready(Some(Err(Stalled.into())));
        }
        frame.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The beginning of the line that comes, of a stream of events.
#[derive(Default)]
struct Events {
    line: Vec<u8>,
}

/// The longest line that may be a ping.
const PING: usize = 64;

impl Events {
    fn have_content(&mut self, data: &[u8]) -> bool {
        let mut has_content = false;
        for &byte in data {
            if matches!(byte, b'\n' | b'\r') {
                has_content = has_content || is_content(&self.line);
                self.line.clear();
            } else if self.line.len() <= PING {
                self.line.push(byte);
            }
        }
        // It need not have ended for that.
        has_content || (self.line.len() > PING && is_content(&self.line))
    }
}

/// Neither a comment nor a ping of Anthropic's API: `event: ping`, `data: {"type": "ping"}`.
fn is_content(line: &[u8]) -> bool {
    let first = line.iter().find(|byte| !byte.is_ascii_whitespace());
    if first.is_none_or(|&first| first == b':') {
        return false;
    }
    if line.len() > PING {
        return true;
    }
    let mut line = line.to_vec();
    line.retain(|byte| !byte.is_ascii_whitespace());
    line != b"event:ping" && line != br#"data:{"type":"ping"}"#
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing of an answer came for too long")
    }
}

impl error::Error for Stalled {}
