//! What goes wrong, in a shape that clients of `OpenAI`'s and of Anthropic's API understand.

use std::{any::Any, error, fmt, iter, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::LengthLimitError;
use serde_json::{Value, json};
use tower::timeout::error::Elapsed;
use tower_local_service::{BoxError, Error, ErrorKind};

use crate::progress::Stalled;

/// An answer that is an error, with what to do about it as its message.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    /// For programs.
    code: &'static str,
    message: String,
    retry_after: Option<Duration>,
    /// The crate has logged it: for the start, and not for each request that waited for it.
    is_logged: bool,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
            is_logged: false,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    pub(crate) fn forbidden(message: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn no_such_model(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "model_not_found", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            format!(
                "the body is longer than {limit} bytes: send less, or start the gateway with \
                 --body-limit BYTES"
            ),
        )
    }

    /// A body that did not arrive, or is too long.
    pub(crate) fn upload(error: &BoxError, limit: usize) -> Self {
        if has_inside::<LengthLimitError>(error) {
            return Self::too_large(limit);
        }
        Self::new(
            StatusCode::BAD_REQUEST,
            "body_not_read",
            format!(
                "the body did not arrive ({}): send the request again",
                chain(error)
            ),
        )
    }

    /// Why a provider did not answer: an error of the crate, a timeout, or the client's own error.
    pub(crate) fn of(provider: &str, timeout: Duration, error: &BoxError) -> Self {
        Self::at(provider, timeout, error, "no_answer", "did not answer")
    }

    /// The same for an answer that has begun.
    pub(crate) fn broke_off(provider: &str, timeout: Duration, error: &BoxError) -> Self {
        Self::at(
            provider,
            timeout,
            error,
            "broke_off",
            "broke off its answer",
        )
    }

    fn at(
        provider: &str,
        timeout: Duration,
        error: &BoxError,
        code: &'static str,
        what: &str,
    ) -> Self {
        if let Some(error) = Error::of(error) {
            Self::from(error)
        } else if has_inside::<Elapsed>(error) || has_inside::<Stalled>(error) {
            Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "timeout",
                format!(
                    "provider `{provider}` sent nothing of an answer for {timeout:?}: ask again (a \
                     server that is loading continues), or raise its timeoutSeconds"
                ),
            )
        } else {
            Self::new(
                StatusCode::BAD_GATEWAY,
                code,
                format!("provider `{provider}` {what}: {}", chain(error)),
            )
        }
    }

    /// An answer that cannot be passed on.
    pub(crate) fn unreadable(error: &BoxError) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "unreadable",
            format!(
                "the answer cannot be passed on ({}): ask without `stream`",
                chain(error)
            ),
        )
    }

    /// A compression that is not known here.
    pub(crate) fn compressed() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "the body has a Content-Encoding that this gateway does not read: send it as it is, or with \
             gzip, deflate or zstd",
        )
    }

    /// The answer of a provider that refused, when it is too late for its status.
    pub(crate) fn refused(status: StatusCode, body: &str) -> Self {
        Self::new(
            status,
            "refused",
            format!("the provider answered with status {status}: {body}"),
        )
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// The message, unless the log has it from the crate.
    pub(crate) fn news(&self) -> Option<&str> {
        (!self.is_logged).then_some(&*self.message)
    }

    pub(crate) fn json(&self) -> Value {
        let kind = if self.status.is_client_error() {
            "invalid_request_error"
        } else {
            "server_error"
        };
        json!({
            "type": "error",
            "error": {
                "message": self.message,
                "type": kind,
                "param": null,
                "code": self.code,
            },
        })
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let code = match error.kind() {
            ErrorKind::InvalidConfig { .. } => "invalid_config",
            ErrorKind::Spawn { .. } => "spawn_failed",
            ErrorKind::Unsupported { .. } => "unsupported",
            ErrorKind::Exited { .. } => "exited",
            ErrorKind::ReadyTimeout { .. } => "not_ready",
            ErrorKind::HealthRejected { .. } => "health_rejected",
            ErrorKind::AddressInUse { .. } => "address_in_use",
            ErrorKind::CrashLoop { .. } => "crash_loop",
            ErrorKind::NoRoom { .. } => "no_room",
            ErrorKind::Overloaded { .. } => "overloaded",
            ErrorKind::Stopped { .. } => "stopped",
            ErrorKind::External { .. } => "not_started_here",
            ErrorKind::ShutDown { .. } => "shut_down",
            _ => "unavailable",
        };
        Self {
            retry_after: error.retry_after(),
            is_logged: is_of_start(error),
            ..Self::new(error.status_code(), code, sentence(error))
        }
    }
}

/// Whether a start has failed with it, or a process ended: the crate has an event for each.
fn is_of_start(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Spawn { .. }
            | ErrorKind::Exited { .. }
            | ErrorKind::ReadyTimeout { .. }
            | ErrorKind::HealthRejected { .. }
            | ErrorKind::AddressInUse { .. }
            | ErrorKind::CrashLoop { .. }
    )
}

/// What an error says, to a client of this gateway instead of to the author of a program.
fn sentence(error: &Error) -> String {
    if let ErrorKind::ShutDown { .. } = error.kind() {
        return "the gateway is being stopped: ask again when it runs again".to_owned();
    }
    let text = error.to_string();
    let start = format!("POST /admin/{}/start", error.service().replace('/', "%2F"));
    text.replace("`start()`", &start)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for Failure {}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.json())).into_response();
        if let Some(wait) = self.retry_after {
            // Whole seconds, and never too early.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let seconds = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        // For the log.
        response.extensions_mut().insert(self);
        response
    }
}

pub(crate) async fn no_such_path() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "no_such_path",
        "the gateway does not have this path: use POST /v1/…, GET /v1/models, /v1/PROVIDER/…, /upstream/PROVIDER/…, \
         GET /health, GET /metrics, GET /admin/status, GET /admin/events, GET /admin/PROVIDER/log, POST /admin/stop, \
         or POST /admin/PROVIDER/start and …/stop",
    )
}

pub(crate) async fn wrong_method() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        "this path does not have this method: POST requests for a provider, GET lists",
    )
}

/// The log has the panic; the client does not need it.
pub(crate) fn panicked(_: Box<dyn Any + Send>) -> Response {
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "panic",
        "the gateway has a defect: report what its log says",
    )
    .into_response()
}

fn has_inside<E: error::Error + 'static>(error: &BoxError) -> bool {
    sources(error).any(<dyn error::Error>::is::<E>)
}

fn sources(error: &BoxError) -> impl Iterator<Item = &(dyn error::Error + 'static)> {
    let first: &(dyn error::Error + 'static) = &**error;
    iter::successors(Some(first), |error| error.source())
}

/// The error and all that led to it, in one line.
fn chain(error: &BoxError) -> String {
    let texts: Vec<_> = sources(error).map(ToString::to_string).collect();
    texts.join(": ")
}
