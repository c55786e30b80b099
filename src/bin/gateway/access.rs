//! The log of requests: a line for each, at its end.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{Method, StatusCode},
    middleware::Next,
    response::Response,
};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tower_http::request_id::RequestId;
use tracing::{Instrument as _, Span, debug, info, warn, warn_span};

use crate::failure::Failure;

/// How much of a model's name is shown.
const SHOWN: usize = 100;

/// What programs ask again and again, and nobody wants to read.
const POLLED: [&str; 5] = [
    "/health",
    "/metrics",
    "/admin/status",
    "/v1/models",
    "/v1/models/",
];

/// What a handler knows of its request, for the line. Clones write to the same line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    provider: Option<String>,
    model: Option<String>,
    /// What came too late for the status of the answer.
    late: Option<Failure>,
}

impl Facts {
    /// Those of a request that this log knows.
    pub(crate) fn of(request: &Request) -> Self {
        request.extensions().get().cloned().unwrap_or_default()
    }

    pub(crate) fn is_for(&self, provider: &str, model: Option<&str>) {
        let mut known = self.known();
        known.provider = Some(provider.to_owned());
        known.model = model.map(|it| it.chars().take(SHOWN).collect());
    }

    pub(crate) fn failed(&self, failure: &Failure) {
        self.known().late = Some(failure.clone());
    }

    /// The same body, with the failure that it breaks off with in the line.
    pub(crate) fn of_body(self, body: Body) -> Body {
        Body::new(body.map_err(move |error| {
            let error = error.into_inner();
            if let Some(failure) = error.downcast_ref() {
                self.failed(failure);
            }
            error
        }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A layer, inside of the one that gives requests their ids.
pub(crate) async fn log(mut request: Request, next: Next) -> Response {
    let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
    let has_body = request.method() != Method::HEAD;
    let is_polled = is_look && POLLED.contains(&request.uri().path());
    let mut line = Line {
        span: span(&request),
        begun: Instant::now(),
        is_polled,
        facts: Facts::default(),
        head: None,
        bytes: 0,
        end: End::HungUp,
    };
    request.extensions_mut().insert(line.facts.clone());
    let span = line.span.clone();
    let response = next.run(request).instrument(span).await;
    line.head = Some(Head {
        status: response.status(),
        ms: line.ms(),
        failure: response.extensions().get().cloned(),
    });
    response.map(|body| {
        let left = body.size_hint().exact();
        // Of an answer to HEAD nobody asks for the body.
        let left = if has_body { left } else { Some(0) };
        Body::new(Logged { body, left, line })
    })
}

/// Without the query, which may hold a secret.
fn span(request: &Request) -> Span {
    let id = request.extensions().get::<RequestId>();
    let id = id.and_then(|id| id.header_value().to_str().ok());
    // It is there where only warnings are selected, too.
    warn_span!("request", id, method = %request.method(), path = request.uri().path())
}

/// The line, which is written when it is dropped.
struct Line {
    span: Span,
    begun: Instant,
    is_polled: bool,
    facts: Facts,
    /// `None` if the client hung up before.
    head: Option<Head>,
    bytes: u64,
    end: End,
}

struct Head {
    status: StatusCode,
    ms: u64,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    HungUp,
    BrokeOff,
}

impl Line {
    fn ms(&self) -> u64 {
        let elapsed = self.begun.elapsed().as_millis();
        elapsed.try_into().unwrap_or(u64::MAX)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let known = std::mem::take(&mut *self.facts.known());
        let head = self.head.as_ref();
        let early = head.and_then(|head| head.failure.as_ref());
        let end = match self.end {
            End::Complete if early.is_none() && known.late.is_some() => End::BrokeOff,
            end => end,
        };
        let failure = early.or(known.late.as_ref());
        let (code, error) = (failure.map(Failure::code), failure.and_then(Failure::news));
        let status = head.map(|head| head.status.as_u16());
        let (head_ms, ms, bytes) = (head.map(|head| head.ms), self.ms(), self.bytes);
        let (provider, model) = (known.provider.as_deref(), known.model.as_deref());
        let end_text = end.text();
        macro_rules! event {
            ($level:ident) => {
                $level!(parent: &self.span, provider, model, status, head_ms, ms, bytes, code, error, "{end_text}")
            };
        }
        if end == End::BrokeOff || status >= Some(500) {
            event!(warn);
        } else if self.is_polled && status == Some(200) {
            event!(debug);
        } else {
            event!(info);
        }
    }
}

impl End {
    const fn text(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::HungUp => "the client hung up",
            Self::BrokeOff => "broke off",
        }
    }
}

/// A body whose end is in the line.
struct Logged {
    body: Body,
    /// How much has to come, if that is known: nobody asks for more then.
    left: Option<u64>,
    line: Line,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => {
                self.line.end = End::BrokeOff;
                return Poll::Ready(frame);
            }
            None => {
                self.line.end = End::Complete;
                return Poll::Ready(None);
            }
        };
        self.line.bytes += length;
        self.left = self.left.map(|left| left.saturating_sub(length));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        if self.line.end == End::HungUp && (self.left == Some(0) || self.body.is_end_stream()) {
            self.line.end = End::Complete;
        }
    }
}
