//! Reads a file of JSON5, and says where in it a mistake is.

use std::{borrow::Cow, fs, path, str};

use ::json5::{Deserializer, Error as Json5Error, Position};
use serde::Deserialize as _;
use serde_path_to_error::{Path, Segment, Track};

use super::{FILE, ProvidersConfig, keys::Keys, nearest::nearest};
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
        read(text).map_err(|problem| refusal(problem, None))
    }

    /// Reads a configuration file, as [`from_json5`](Self::from_json5) reads a text. Errors name the file.
    ///
    /// The file is UTF-8, with or without a mark at its beginning. It is read now, so that takes the time
    /// of the disk.
    ///
    /// # Errors
    ///
    /// As [`from_json5`](Self::from_json5), and if the file cannot be read or is no UTF-8.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::provider::ProvidersConfig;
    ///
    /// let error = ProvidersConfig::from_file("/nowhere/openclaw.json").unwrap_err();
    /// let said = "the configuration file /nowhere/openclaw.json cannot be read";
    /// assert!(error.to_string().starts_with(said));
    /// ```
    pub fn from_file(file: impl AsRef<path::Path>) -> Result<Self, Error> {
        let file = file.as_ref();
        let name = file.display().to_string();
        let read = || {
            let bytes = fs::read(file).map_err(|error| {
                of_text(&format!(
                    "({error}): correct the path, or the permissions of the file"
                ))
            })?;
            read(&decoded(&bytes)?)
        };
        let mut config = read().map_err(|problem| refusal(problem, Some(&name)))?;
        config.read.file = Some(name);
        Ok(config)
    }
}

const UTF_16: &str =
    "as it is UTF-16, which PowerShell's `>` and some editors write: save it as UTF-8";

fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, Problem> {
    // The mark at the beginning, in both orders; or half of each of the first two letters.
    let is_utf_16 = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
        || matches!(
            bytes,
            [0, 1..=255, 0, 1..=255, ..] | [1..=255, 0, 1..=255, 0, ..]
        );
    if is_utf_16 {
        return Err(of_text(UTF_16));
    }
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + memchr::memchr_iter(b'\n', before).count();
            Err(of_text(&format!(
                "as line {line} is no UTF-8: save it as UTF-8"
            )))
        }
    }
}

fn read(text: &str) -> Result<ProvidersConfig, Problem> {
    let keys = read_keys(text).map_err(|error| of_text(&format!(": {error}")))?;
    let mut deserializer = Deserializer::from_str(text);
    let mut track = Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
    let mut config = ProvidersConfig::deserialize(tracked).map_err(|error| {
        let path = track.path();
        let message = format!("cannot be read: {}", plain(&error.to_string()));
        Problem::new(
            provider_of(&path).unwrap_or(FILE),
            &path.to_string(),
            message,
        )
    })?;
    config.read.misspelt = keys.misspelt();
    Ok(config)
}

/// The message, with the one key that was likely meant in the place of all that there are.
fn plain(message: &str) -> Cow<'_, str> {
    let parts = || {
        let rest = message.strip_prefix("unknown field `")?;
        let (key, rest) = rest.split_once("`, expected ")?;
        // Keys have no backtick: those are the odd parts.
        let known = rest.split('`').skip(1).step_by(2);
        let (_, place) = rest.rsplit_once("` at ")?;
        Some((key, nearest(key, known)?, place))
    };
    match parts() {
        Some((key, meant, place)) => {
            format!("there is no key `{key}` (did you mean `{meant}`?) at {place}").into()
        }
        None => message.into(),
    }
}

/// The text as a whole cannot be read, for that reason.
fn of_text(why: &str) -> Problem {
    let blank = if why.starts_with(':') { "" } else { " " };
    Problem::new(FILE, Problem::TEXT, format!("cannot be read{blank}{why}"))
}

/// Of the whole text: reading the providers alone would ignore what follows the object.
fn read_keys(text: &str) -> Result<Keys, Json5Error> {
    if let Some(at) = too_deep(text) {
        return Err(Json5Error::custom_at(
            Position::from_offset(at, text),
            format_args!("objects and lists are nested more than {DEEPEST} deep"),
        ));
    }
    // Where something is missing at the end of the text, the parser gives no place.
    let end = || Position::from_offset(text.len(), text);
    ::json5::from_str(text).map_err(|error: Json5Error| error.with_position(end()))
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

fn refusal(problem: Problem, file: Option<&str>) -> Error {
    let problems = vec![problem];
    Error::new(FILE, ErrorKind::InvalidConfig { problems }).of_configuration(file)
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
