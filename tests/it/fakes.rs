//! Clients that send nothing, so that a test decides what comes back and when.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, header::TRANSFER_ENCODING};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Bytes;
use tower::util::ServiceFn;
use tower_local_service::BoxError;

/// What a body does next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(&'static str),
    Trailers(HeaderMap),
    /// Asks to be polled again, as one that has to wait for a moment.
    Wait,
    Fail,
    /// Pending for ever, and never wakes its task.
    Hang,
}

/// A body that follows a script, then ends.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    /// As with a content length: what is left is known, and so is the end.
    counted: bool,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let steps = steps.into_iter().collect();
        Self {
            steps,
            counted: false,
        }
    }

    pub(crate) fn counted(steps: impl IntoIterator<Item = Step>) -> Self {
        let counted = true;
        Self {
            counted,
            ..Self::new(steps)
        }
    }

    /// With a head that says how the body is delimited.
    pub(crate) fn answer(&self) -> http::Response<Self> {
        let mut answer = http::Response::new(self.clone());
        if !self.counted {
            let chunked = HeaderValue::from_static("chunked");
            answer.headers_mut().insert(TRANSFER_ENCODING, chunked);
        }
        answer
    }

    fn left(&self) -> u64 {
        let length = |step: &Step| match step {
            Step::Data(text) => text.len() as u64,
            _ => 0,
        };
        self.steps.iter().map(length).sum()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.steps.pop_front() {
            Some(Step::Data(text)) => Ok(Frame::data(Bytes::from_static(text.as_bytes()))),
            Some(Step::Trailers(trailers)) => Ok(Frame::trailers(trailers)),
            Some(Step::Fail) => Err("it broke".into()),
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                return Poll::Pending;
            }
            None => return Poll::Ready(None),
        };
        Poll::Ready(Some(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.counted && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.counted {
            SizeHint::with_exact(self.left())
        } else {
            SizeHint::default()
        }
    }
}

type Answer = Ready<Result<http::Response<Script>, Infallible>>;

/// A client that answers every request at once, with a body that does so.
pub(crate) fn answers(body: Script) -> ServiceFn<impl Fn(()) -> Answer + Clone> {
    // A clone of a client is cheap.
    let body = Arc::new(body);
    tower::service_fn(move |()| ready(Ok(body.answer())))
}
