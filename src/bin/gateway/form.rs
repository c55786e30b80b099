//! Forms: bodies with files, in which one part names the model. What follows that part is forwarded as it comes.

use std::ops::Range;

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{HeaderMap, header},
};
use futures_util::{StreamExt as _, stream};
use memchr::memmem;
use tower_local_service::BoxError;

use crate::failure::Failure;

const FIELD: &str = "model";

/// The longest name of a model, and of the headers of a part.
const LONGEST: usize = 16 * 1024;

/// A form whose model is known, or that names none.
pub(crate) struct Form {
    boundary: String,
    /// What was read until the model was known.
    read: Vec<u8>,
    /// Where in it the name of the model is.
    place: Option<Range<usize>>,
    rest: BodyDataStream,
}

/// Whether the body is one.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        kind.starts_with(b"multipart/form-data")
    })
}

impl Form {
    /// Reads until the model is known: to the end, if that comes last.
    ///
    /// # Errors
    ///
    /// It is no form, or did not arrive.
    pub(crate) async fn read(
        headers: &HeaderMap,
        body: Body,
        limit: usize,
    ) -> Result<Self, Failure> {
        let boundary =
            boundary(headers).ok_or_else(|| malformed("its Content-Type has no boundary"))?;
        let mut form = Self {
            read: b"\r\n".to_vec(),
            place: None,
            rest: body.into_data_stream(),
            boundary,
        };
        let mut search = Search::of(&form.boundary);
        loop {
            match search.next(&form.read)? {
                Found::Model(place) => {
                    form.place = Some(place);
                    return Ok(form);
                }
                Found::End => return Ok(form),
                Found::Nothing => {}
            }
            match form.rest.next().await {
                Some(Ok(data)) => form.read.extend_from_slice(&data),
                Some(Err(error)) => return Err(Failure::upload(&error.into(), limit)),
                None => return Err(malformed("it ends before its last boundary")),
            }
        }
    }

    /// As the client calls it; `None` if the client names none.
    pub(crate) fn model(&self) -> Option<String> {
        let name = &self.read[self.place.clone()?];
        Some(String::from_utf8_lossy(name).into_owned())
    }

    /// The form with that name, byte for byte otherwise, and by how much longer it is.
    pub(crate) fn into_body(self, model: &str) -> (Body, isize) {
        let Self {
            boundary,
            read,
            place,
            rest,
        } = self;
        // The line end before the first boundary was put there.
        let before = read.len() - 2;
        let head = if let Some(Range { start, end }) = place {
            [&read[2..start], model.as_bytes(), &read[end..]].concat()
        } else {
            let name = format!("Content-Disposition: form-data; name=\"{FIELD}\"");
            let part = format!("--{boundary}\r\n{name}\r\n\r\n{model}\r\n");
            [part.as_bytes(), &read[2..]].concat()
        };
        let longer = head.len().cast_signed() - before.cast_signed();
        let head = stream::iter([Ok(Bytes::from(head))]);
        let rest = rest.map(|data| data.map_err(BoxError::from));
        (Body::from_stream(head.chain(rest)), longer)
    }
}

fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    parameter(kind, "boundary").filter(|it| !it.is_empty())
}

/// A parameter of a header, such as `name` of `form-data; name="model"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut parameters = header.split(';').skip(1);
    parameters.find_map(|it| {
        let (key, value) = it.split_once('=')?;
        let value = value.trim().trim_matches('"');
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.to_owned())
    })
}

fn malformed(what: &str) -> Failure {
    Failure::invalid(format!("the body cannot be read as a form: {what}"))
}

/// Looks for the part with the model, and at nothing twice.
struct Search {
    /// A line end, two dashes and the boundary.
    delimiter: memmem::Finder<'static>,
    /// Up to where nothing was found.
    seen: usize,
    /// Where the content of the model's part begins.
    content: Option<usize>,
}

enum Found {
    Model(Range<usize>),
    /// The last boundary.
    End,
    /// More has to be read.
    Nothing,
}

impl Search {
    fn of(boundary: &str) -> Self {
        let delimiter = format!("\r\n--{boundary}");
        Self {
            delimiter: memmem::Finder::new(delimiter.as_bytes()).into_owned(),
            seen: 0,
            content: None,
        }
    }

    fn next(&mut self, read: &[u8]) -> Result<Found, Failure> {
        let length = self.delimiter.needle().len();
        loop {
            let Some(at) = self.delimiter.find(&read[self.seen..]) else {
                // The beginning of one may be there.
                let seen = read.len().saturating_sub(length);
                self.seen = self.seen.max(seen);
                return self.unless_too_long(read.len());
            };
            let at = self.seen + at;
            if let Some(content) = self.content {
                return Ok(Found::Model(content..at));
            }
            let after = &read[at + length..];
            if after.starts_with(b"--") {
                return Ok(Found::End);
            }
            let Some(headers) = memmem::find(after, b"\r\n\r\n") else {
                self.seen = at;
                if after.len() > LONGEST {
                    return Err(malformed("a part of it has too long headers"));
                }
                return Ok(Found::Nothing);
            };
            let content = at + length + headers + 4;
            if is_model(&after[..headers]) {
                self.content = Some(content);
            }
            // The line end before the next boundary may be that of the headers.
            self.seen = content - 2;
        }
    }

    fn unless_too_long(&self, read: usize) -> Result<Found, Failure> {
        match self.content {
            Some(content) if read - content > LONGEST => {
                Err(malformed("the name of its model is too long"))
            }
            _ => Ok(Found::Nothing),
        }
    }
}

fn is_model(headers: &[u8]) -> bool {
    let headers = String::from_utf8_lossy(headers);
    let mut headers = headers.lines().filter_map(|line| line.split_once(':'));
    headers.any(|(name, value)| {
        name.trim().eq_ignore_ascii_case("content-disposition")
            && parameter(value, "name").as_deref() == Some(FIELD)
    })
}
