//! Reads a file, and says where in it a mistake is.

mod syntax;

use serde::Deserialize as _;
use serde_path_to_error::{Path, Segment};

use self::syntax::Syntax;
use super::{FILE, Providers, file::File};
use crate::error::{Error, ErrorKind, Problem};

impl Providers {
    /// Reads a configuration file: JSON5, so comments and trailing commas are welcome, and plain JSON
    /// is, too.
    ///
    /// Nothing is resolved, looked up or started: that is what [`register`](Self::register) is for.
    ///
    /// # Errors
    ///
    /// [`InvalidConfig`](ErrorKind::InvalidConfig) with the line, the column and the path of the first
    /// mistake, such as an unknown key in a `localService` or a provider that is there twice.
    ///
    /// # Example
    ///
    /// ```
    /// use tower_local_service::provider::Providers;
    ///
    /// let providers = Providers::from_json5("{ models: { providers: {} } }")?;
    /// assert!(providers.ids().is_empty());
    ///
    /// let error = Providers::from_json5("{\n  models: [ }").unwrap_err();
    /// assert!(error.to_string().contains("line 2 column"));
    /// # Ok::<(), tower_local_service::Error>(())
    /// ```
    pub fn from_json5(text: &str) -> Result<Self, Error> {
        // All of the text, of which the second reading does not see what comes behind the object, and
        // may read no deeper than its stack has room for.
        json5::from_str::<Syntax>(text).map_err(|error| {
            // Where something is missing at the end of the text, the reader names no place.
            let end = json5::Position::from_offset(text.len(), text);
            refusal(FILE, "syntax", &error.with_position(end))
        })?;
        let mut deserializer = json5::Deserializer::from_str(text);
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(&mut deserializer, &mut track);
        let file = File::deserialize(tracked).map_err(|error| {
            let path = track.path();
            let place = path.to_string();
            refusal(provider_of(&path).unwrap_or(FILE), &place, &error)
        })?;
        Ok(file.into())
    }
}

fn refusal(provider: &str, field: &str, error: &json5::Error) -> Error {
    let remedy = format!("cannot be read: {error}");
    let problems = vec![Problem::new(provider, field, remedy)];
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
