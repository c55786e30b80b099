//! Answers as server-sent events: comments during the wait, and failures that come too late for a status.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{self, Body, Bytes, HttpBody},
    http::{HeaderValue, Response, StatusCode, header},
};
use http_body::Frame;
use serde_json::Value;
use tokio::time::{self, Interval, MissedTickBehavior};

use crate::{failure::Failure, waiting::Waiting, whole};

const KIND: HeaderValue = HeaderValue::from_static("text/event-stream");
/// The name without which Anthropic's SDKs skip it.
const ERROR: &str = "error";
/// How much of a refusal is read.
const REFUSAL: usize = 64 * 1024;
/// How much of an answer is read that is no stream.
const ANSWER: usize = 64 * 1024 * 1024;

/// The body of an answer that comes as events.
///
/// A failure becomes an event itself, which the SDKs of `OpenAI` and Anthropic raise as an error. No
/// `[DONE]` follows. In the middle of an event only a broken connection can report it.
pub(crate) struct Events {
    state: State,
}

enum State {
    Waiting {
        answer: Pin<Box<dyn Future<Output = Body> + Send>>,
        pauses: Interval,
        waiting: Waiting,
    },
    Streaming {
        body: Body,
        tail: Tail,
    },
    Ended,
}

/// The last bytes of a stream.
#[derive(Clone, Copy, Default)]
struct Tail([u8; 4]);

/// Waits that long without an answer, so that every failure until then has its status. Then it sends the
/// head and a comment, or what else is sent meanwhile, and one more after each such pause.
pub(crate) async fn patiently<F>(
    pace: Duration,
    waiting: Waiting,
    answer: F,
) -> Result<Response<Body>, Failure>
where
    F: Future<Output = Result<Response<Body>, Failure>> + Send + 'static,
{
    let mut answer = Box::pin(answer);
    if let Ok(answer) = time::timeout(pace, &mut answer).await {
        return answer.map(Events::of);
    }
    let mut pauses = time::interval(pace);
    // A client that reads slowly needs no comments to catch up on.
    pauses.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events {
        state: State::Waiting {
            answer: Box::pin(async { late(answer.await).await }),
            pauses,
            waiting,
        },
    };
    let mut response = Response::new(Body::new(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, KIND);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The body of an answer whose head came too late.
async fn late(answer: Result<Response<Body>, Failure>) -> Body {
    match answer {
        Ok(response) if is_stream(&response) => response.into_body(),
        Ok(response) if response.status().is_success() => Body::from(whole(response).await),
        Ok(response) => Body::from(refusal(response).await),
        Err(failure) => Body::from(event(&failure)),
    }
}

/// An answer that is no stream.
async fn whole(response: Response<Body>) -> Bytes {
    let status = response.status();
    let body = match body::to_bytes(response.into_body(), ANSWER).await {
        Ok(body) => body,
        Err(error) => return event(&failure_in(error)),
    };
    match serde_json::from_slice(&body) {
        Ok(json @ (Value::Object(_) | Value::Array(_)))
            if json.get("error").is_none_or(Value::is_null) =>
        {
            whole::events(json).into()
        }
        json => refused(status, json.ok(), &body),
    }
}

async fn refusal(response: Response<Body>) -> Bytes {
    let status = response.status();
    let body = body::to_bytes(response.into_body(), REFUSAL).await;
    let body = body.unwrap_or_default();
    refused(status, serde_json::from_slice(&body).ok(), &body)
}

/// The provider's own words where they are an error in `OpenAI`'s or Anthropic's shape.
fn refused(status: StatusCode, json: Option<Value>, body: &[u8]) -> Bytes {
    match json {
        Some(mut json) if json.get("error").is_some_and(Value::is_object) => {
            json["type"] = "error".into();
            whole::named(ERROR, &json).into()
        }
        _ => {
            // An answer that is none in text would be unreadable.
            let body = &body[..body.len().min(REFUSAL)];
            event(&Failure::refused(status, &String::from_utf8_lossy(body)))
        }
    }
}

/// What a body broke off with.
fn failure_in(error: axum::Error) -> Failure {
    let error = error.into_inner();
    match error.downcast::<Failure>() {
        Ok(failure) => *failure,
        Err(error) => Failure::unreadable(&error),
    }
}

pub(crate) fn is_stream<B>(response: &Response<B>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let is_events = kind.is_some_and(|kind| kind.as_bytes().starts_with(KIND.as_bytes()));
    response.status().is_success() && is_events
}

fn event(failure: &Failure) -> Bytes {
    whole::named(ERROR, &failure.json()).into()
}

impl Events {
    /// The answer. If it comes as events, a failure in the middle of it is an event, too.
    pub(crate) fn of(mut response: Response<Body>) -> Response<Body> {
        if !is_stream(&response) {
            return response;
        }
        // It may become longer.
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.map(|body| {
            Body::new(Self {
                state: State::streaming(body),
            })
        })
    }
}

impl State {
    fn streaming(body: Body) -> Self {
        Self::Streaming {
            body,
            tail: Tail::default(),
        }
    }
}

impl Tail {
    fn add(&mut self, data: &[u8]) {
        for &byte in &data[data.len().saturating_sub(4)..] {
            self.0.rotate_left(1);
            self.0[3] = byte;
        }
    }

    /// Whether an event can begin here.
    fn is_between_events(self) -> bool {
        let Self(tail) = self;
        tail == [0; 4] || tail == *b"\r\n\r\n" || tail.ends_with(b"\n\n") || tail.ends_with(b"\r\r")
    }
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            match &mut self.state {
                State::Waiting {
                    answer,
                    pauses,
                    waiting,
                } => match answer.as_mut().poll(cx) {
                    Poll::Ready(body) => self.state = State::streaming(body),
                    Poll::Pending => {
                        ready!(pauses.poll_tick(cx));
                        return Poll::Ready(Some(Ok(Frame::data(waiting.event()))));
                    }
                },
                State::Streaming { body, tail } => {
                    let frame = ready!(Pin::new(body).poll_frame(cx));
                    if let Some(Ok(frame)) = &frame {
                        if let Some(data) = frame.data_ref() {
                            tail.add(data);
                        }
                    } else {
                        let is_between_events = tail.is_between_events();
                        self.state = State::Ended;
                        if let Some(Err(error)) = frame {
                            return Poll::Ready(Some(broken(error, is_between_events)));
                        }
                    }
                    return Poll::Ready(frame);
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

/// The event that reports it, where an event can begin.
fn broken(error: axum::Error, is_between_events: bool) -> Result<Frame<Bytes>, axum::Error> {
    let error = error.into_inner();
    match error.downcast_ref::<Failure>() {
        Some(failure) if is_between_events => Ok(Frame::data(event(failure))),
        _ => Err(axum::Error::new(error)),
    }
}
