//! What the gateway reads of a request's body, which it forwards as it came.

use std::ops::Range;

use axum::body::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::failure::Failure;

const BOM: [u8; 3] = *b"\xef\xbb\xbf";

/// A JSON object that names a model.
#[derive(Debug)]
pub(crate) struct Question {
    body: Bytes,
    /// As the client calls it; `None` if the client names none.
    model: Option<String>,
    place: Place,
    streams: bool,
}

/// Where the model's name is in the body.
#[derive(Debug)]
enum Place {
    At(Range<usize>),
    /// Nowhere. It can be inserted there, before another field or not.
    Missing {
        at: usize,
        has_next: bool,
    },
}

/// The fields that are read. The rest is skipped.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "as_it_is")]
    model: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "as_it_is")]
    stream: Option<&'a RawValue>,
}

/// `null`, too.
fn as_it_is<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Question {
    /// # Errors
    ///
    /// It is no JSON object, has `model` twice, or a model that is no string.
    pub(crate) fn read(body: Bytes) -> Result<Self, Failure> {
        // Some programs for Windows begin with a mark, which is no JSON.
        let body = match body.strip_prefix(&BOM) {
            Some(rest) => body.slice_ref(rest),
            None => body,
        };
        if body.iter().take(4).any(|&byte| byte == 0) {
            return Err(Failure::invalid(
                "the body is JSON in another encoding than UTF-8: send UTF-8",
            ));
        }
        let start = body.iter().position(|byte| !byte.is_ascii_whitespace());
        // serde would take the first element of an array for the first field.
        let start = start.filter(|&start| body[start] == b'{');
        let start = start.ok_or_else(|| {
            Failure::invalid("the body is no JSON object: send one with the field `model`")
        })?;
        let fields: Fields<'_> = serde_json::from_slice(&body).map_err(|error| {
            Failure::invalid(format!("the body cannot be read as JSON: {error}"))
        })?;
        let streams = fields.stream.is_some_and(|it| it.get() == "true");
        let (model, place) = match fields.model {
            Some(raw) => (name(raw)?, Place::At(range_in(&body, raw.get()))),
            None => (None, missing(&body, start + 1)),
        };
        Ok(Self {
            body,
            model,
            place,
            streams,
        })
    }

    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Whether the answer is to come as server-sent events.
    pub(crate) fn streams(&self) -> bool {
        self.streams
    }

    /// The body, byte for byte but for the name of the model.
    pub(crate) fn into_body(self, model: &str) -> Bytes {
        let name = serde_json::Value::from(model).to_string();
        let (range, text) = match self.place {
            Place::At(range) => (range, name),
            Place::Missing { at, has_next } => {
                let comma = if has_next { "," } else { "" };
                (at..at, format!("\"model\":{name}{comma}"))
            }
        };
        let (before, after) = (&self.body[..range.start], &self.body[range.end..]);
        [before, text.as_bytes(), after].concat().into()
    }
}

fn name(raw: &RawValue) -> Result<Option<String>, Failure> {
    serde_json::from_str(raw.get())
        .map_err(|_| Failure::invalid("`model` is no string: write \"PROVIDER/MODEL\""))
}

/// Where a part of the body is.
fn range_in(body: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - body.as_ptr().addr();
    start..start + part.len()
}

fn missing(body: &[u8], at: usize) -> Place {
    let next = body[at..].iter().find(|byte| !byte.is_ascii_whitespace());
    Place::Missing {
        at,
        has_next: next != Some(&b'}'),
    }
}
