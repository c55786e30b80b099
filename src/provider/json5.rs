//! Reads a file of JSON5, and says where in it a mistake is.

use ::json5::{Deserializer, Error as Json5Error, Position};
use serde::{Deserialize as _, de::IgnoredAny};
use serde_path_to_error::{Path, Segment, Track};

use super::{FILE, ProvidersConfig};
use crate::error::{Error, ErrorKind, Problem};

/// How deep objects and lists may be nested; a tenth of it is much.
///
/// The crate `json5` recurses for each level without a limit of its own: a file of brackets would
/// overflow the stack, which ends the program.
const DEEPEST: usize = 128;

impl ProvidersConfig {
    /// Reads a configuration file: JSON5, so comments and trailing commas are allowed, and so is plain
    /// JSON.
    ///
    /// Nothing is looked up or started: [`register`](Self::register) does that.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) with the line, the column and the path of the first
    /// mistake, such as an unknown key in a `localService` or a duplicate provider.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::{Registry, provider::ProvidersConfig};
    ///
    /// let config = ProvidersConfig::from_json5("{ models: { providers: {} } }")?;
    /// assert!(config.register(&Registry::new())?.ids().is_empty());
    ///
    /// let error = ProvidersConfig::from_json5("{\n  models: [ }").unwrap_err();
    /// assert!(error.to_string().contains("line 2 column"));
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    pub fn from_json5(text: &str) -> Result<Self, Error> {
        check_syntax(text).map_err(|error| refusal(FILE, "syntax", &error))?;
        let mut deserializer = Deserializer::from_str(text);
        let mut track = Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
        Self::deserialize(tracked).map_err(|error| {
            let path = track.path();
            let place = path.to_string();
            refusal(provider_of(&path).unwrap_or(FILE), &place, &error)
        })
    }
}

/// The whole text: reading the providers alone would ignore what follows the object.
fn check_syntax(text: &str) -> Result<(), Json5Error> {
    if let Some(at) = too_deep(text) {
        return Err(Json5Error::custom_at(
            Position::from_offset(at, text),
            format_args!("objects and lists are nested more than {DEEPEST} deep"),
        ));
    }
    // Where something is missing at the end of the text, the parser gives no place.
    let end = || Position::from_offset(text.len(), text);
    let checked = ::json5::from_str::<IgnoredAny>(text);
    checked
        .map(drop)
        .map_err(|error| error.with_position(end()))
}

/// The offset of the first bracket that is nested too deep. Up to the first mistake in its syntax, the
/// text is split into strings, comments and brackets as the parser splits it.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '[', '}', ']', '"', '\'', '/']) {
        let from = &rest[at..];
        let length = match from.as_bytes()[0] {
            b'{' | b'[' if depth == DEEPEST => return Some(text.len() - from.len()),
            b'{' | b'[' => {
                depth += 1;
                1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                1
            }
            b'/' if from.starts_with("//") => from.find(['\n', '\r', '\u{2028}', '\u{2029}'])?,
            b'/' if from.starts_with("/*") => from[2..].find("*/")? + 4,
            b'/' => 1,
            _ => string_length(from)?,
        };
        rest = &from[length..];
    }
    None
}

/// The length of the string with which a text begins, its quotes included.
fn string_length(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next()?;
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => drop(chars.next()),
            _ if char == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn refusal(provider: &str, field: &str, error: &Json5Error) -> Error {
    let message = format!("cannot be read: {error}");
    let problems = vec![Problem::new(provider, field, message)];
    Error::new(FILE, ErrorKind::InvalidConfig { problems })
}

/// The id in `models.providers.<id>.…`.
fn provider_of(path: &Path) -> Option<&str> {
    let keys: Vec<_> = path.iter().take(3).collect();
    match keys[..] {
        [
            Segment::Map { key: models },
            Segment::Map { key: providers },
            Segment::Map { key: id },
        ] if models == "models" && providers == "providers" => Some(id),
        _ => None,
    }
}
