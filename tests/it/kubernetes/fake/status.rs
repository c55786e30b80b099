//! Answers, and errors in the words of Kubernetes.

use http::StatusCode;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Bytes;
use serde_json::{Value, json};

use super::call::Call;

pub(super) type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;
pub(super) type Answer = http::Response<Body>;

pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

pub(super) fn answer(code: u16, object: &Value) -> Answer {
    let mut answer = http::Response::new(whole(object.to_string()));
    *answer.status_mut() = StatusCode::from_u16(code).expect("a status");
    let json = http::HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    answer
}

pub(super) fn text(code: u16, text: &str) -> Answer {
    let mut answer = http::Response::new(whole(text.to_owned()));
    *answer.status_mut() = StatusCode::from_u16(code).expect("a status");
    answer
}

/// What a server says of an API that it does not have.
pub(super) fn no_such_path() -> Answer {
    text(404, "404 page not found\n")
}

/// The object that says what is wrong.
pub(super) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": {}, "code": code,
    })
}

fn error(call: &Call, code: u16, reason: &str, message: &str) -> Answer {
    let mut status = status(code, reason, message);
    status["details"] =
        json!({ "name": call.name, "group": call.resource.group, "kind": call.resource.name });
    answer(code, &status)
}

fn quoted(call: &Call) -> String {
    format!("{} \"{}\"", call.resource.qualified(), call.name)
}

pub(super) fn unauthorized() -> Answer {
    answer(401, &status(401, "Unauthorized", "Unauthorized"))
}

pub(super) fn bad_request(why: &str) -> Answer {
    answer(400, &status(400, "BadRequest", why))
}

pub(super) fn not_found(call: &Call) -> Answer {
    error(
        call,
        404,
        "NotFound",
        &format!("{} not found", quoted(call)),
    )
}

pub(super) fn no_namespace(call: &Call) -> Answer {
    let message = format!("namespaces \"{}\" not found", call.namespace);
    answer(404, &status(404, "NotFound", &message))
}

pub(super) fn already_exists(call: &Call) -> Answer {
    error(
        call,
        409,
        "AlreadyExists",
        &format!("{} already exists", quoted(call)),
    )
}

pub(super) const MODIFIED: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

pub(super) fn conflict(call: &Call, why: &str) -> Answer {
    let message = format!("Operation cannot be fulfilled on {}: {why}", quoted(call));
    error(call, 409, "Conflict", &message)
}

pub(super) fn invalid(call: &Call, why: &str) -> Answer {
    let message = format!("{} \"{}\" is invalid: {why}", kind(call), call.name);
    error(call, 422, "Invalid", &message)
}

fn kind(call: &Call) -> String {
    match call.resource.group {
        "" => call.resource.kind.to_owned(),
        group => format!("{}.{group}", call.resource.kind),
    }
}

pub(super) fn unsupported(call: &Call) -> Answer {
    let message = "the body of the request was in an unknown format - accepted media types include: \
                   application/merge-patch+json";
    error(call, 415, "UnsupportedMediaType", message)
}

/// What the server answers by this status whatever is asked.
pub(super) fn refused(call: &Call, code: u16) -> Answer {
    match code {
        403 => forbidden(call),
        404 => not_found(call),
        409 => conflict(call, MODIFIED),
        422 => invalid(call, "spec.replicas: Invalid value: 1: a test says so"),
        429 => {
            let message = "Too many requests, please try again later.";
            let mut answer = error(call, 429, "TooManyRequests", message);
            let second = http::HeaderValue::from_static("1");
            answer
                .headers_mut()
                .insert(http::header::RETRY_AFTER, second);
            answer
        }
        503 => error(
            call,
            503,
            "ServiceUnavailable",
            "apiserver is shutting down",
        ),
        code => error(
            call,
            code,
            "InternalError",
            "Internal error occurred: a test says so",
        ),
    }
}

fn forbidden(call: &Call) -> Answer {
    let what = if call.name.is_empty() {
        call.resource.qualified()
    } else {
        quoted(call)
    };
    let message = format!(
        "{what} is forbidden: User \"program\" cannot {} resource \"{}\" in API group \"{}\" in the namespace \"{}\"",
        call.verb,
        call.of(),
        call.resource.group,
        call.namespace
    );
    error(call, 403, "Forbidden", &message)
}

/// Of a watch that asks for what the server has forgotten.
pub(super) fn expired(asked: u64, oldest: u64) -> Value {
    let message = format!("too old resource version: {asked} ({oldest})");
    status(410, "Expired", &message)
}
