//! From what is written to what is meant; or all that is wrong with it, at once.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{
    FILE,
    file::{File, Model, ModelChoice, Secret, WrittenProvider},
    variables::{Lookup, expand, look_up},
};
use crate::{
    config::{LocalServiceConfig, Settings},
    error::{Error, ErrorKind, Problem},
};

/// No time may be longer.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) struct Plan {
    pub(super) providers: Vec<Planned>,
    pub(super) primary: Option<String>,
}

/// A provider that can work.
pub(super) struct Planned {
    pub(super) id: String,
    pub(super) meant: Meant,
    pub(super) base: Uri,
    pub(super) settings: Option<Settings>,
}

/// What two readings of a provider are compared by.
#[derive(Clone, PartialEq)]
pub(super) struct Meant {
    pub(super) base_url: String,
    pub(super) api_key: Option<String>,
    pub(super) api: Option<String>,
    pub(super) timeout: Option<Duration>,
    pub(super) headers: HeaderMap,
    pub(super) models: Vec<Model>,
    pub(super) local: Option<LocalServiceConfig>,
}

impl Plan {
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] with all problems.
    pub(super) fn of(file: &File, lookup: &Lookup<'_>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut providers = Vec::new();
        for (id, written) in file.providers() {
            let mut reader = Reader {
                id,
                lookup,
                problems: &mut problems,
            };
            providers.extend(reader.provider(written));
        }
        let primary = file.agents.defaults.model.as_ref();
        let primary = primary.and_then(ModelChoice::primary).map(|text| {
            let mut reader = Reader {
                id: FILE,
                lookup,
                problems: &mut problems,
            };
            reader.text("agents.defaults.model", text)
        });
        if problems.is_empty() {
            Ok(Self { providers, primary })
        } else {
            Err(Error::new(FILE, ErrorKind::InvalidConfig { problems }))
        }
    }
}

/// Reads one provider, and keeps what is wrong with it.
struct Reader<'a> {
    id: &'a str,
    lookup: &'a Lookup<'a>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn refuse(&mut self, field: &str, remedy: impl Into<String>) {
        self.problems.push(Problem::new(self.id, field, remedy));
    }

    /// `None` if nothing can be made of it.
    fn provider(&mut self, written: &WrittenProvider) -> Option<Planned> {
        let before = self.problems.len();
        let meant = self.meant(written);
        let (base, settings) = match &meant.local {
            Some(local) => self.settings(before, &meant, local).unzip(),
            None if self.is_refused(before, "baseUrl") => (None, None),
            None => (self.base(&meant.base_url), None),
        };
        Some(Planned {
            id: self.id.to_owned(),
            meant,
            base: base?,
            settings,
        })
    }

    fn meant(&mut self, written: &WrittenProvider) -> Meant {
        if !written.has_base_url() {
            self.refuse(
                "baseUrl",
                "is missing: write where the API begins, like http://127.0.0.1:8080/v1",
            );
        }
        let base_url = self.text("baseUrl", written.base_url.as_deref().unwrap_or_default());
        let api_key = written.api_key.as_ref();
        let api_key = api_key.and_then(|key| self.secret("apiKey", key));
        let api = written.api.as_ref().map(|api| self.text("api", api));
        let timeout = written.timeout_seconds;
        let timeout = timeout.and_then(|seconds| self.timeout(seconds));
        let headers = self.headers(written);
        let models = self.models(&written.models);
        let local = written.local_service.clone().map(|local| {
            let local = local
                .change_strings(|field, text| self.text(&format!("localService.{field}"), &text));
            match &api_key {
                Some(key) => local.api_key(key),
                None => local,
            }
        });
        Meant {
            base_url: base_url.trim().to_owned(),
            api_key,
            api,
            timeout,
            headers,
            models,
            local,
        }
    }

    fn text(&mut self, field: &str, text: &str) -> String {
        expand(text, self.lookup).unwrap_or_else(|missing| {
            for name in missing {
                self.missing(field, &name);
            }
            String::new()
        })
    }

    fn missing(&mut self, field: &str, variable: &str) {
        self.refuse(
            field,
            format!(
                "asks for the environment variable {variable}, which is unset or empty: set it \
                 before this program starts"
            ),
        );
    }

    fn secret(&mut self, field: &str, secret: &Secret) -> Option<String> {
        match secret {
            Secret::Text(text) => Some(self.text(field, text)),
            Secret::From(from) if from.source == "env" => {
                let value = look_up(&from.id, self.lookup);
                if value.is_none() {
                    self.missing(field, &from.id);
                }
                value
            }
            Secret::From(from) => {
                let source = &from.source;
                self.refuse(
                    field,
                    format!(
                        "comes from the source {source:?}, which is not supported: write \
                         {{ source: \"env\", id: \"NAME\" }}, or \"${{NAME}}\""
                    ),
                );
                None
            }
            Secret::Other(_) => {
                self.refuse(
                    field,
                    "is neither a string nor { source: \"env\", id: \"NAME\" }: put it in quotes",
                );
                None
            }
        }
    }

    fn timeout(&mut self, seconds: f64) -> Option<Duration> {
        let timeout = Duration::try_from_secs_f64(seconds).ok();
        let timeout = timeout.filter(|it| !it.is_zero() && *it <= LONGEST);
        if timeout.is_none() {
            let most = LONGEST.as_secs();
            self.refuse(
                "timeoutSeconds",
                format!("is out of range: write more than 0, and at most {most} (a year)"),
            );
        }
        timeout
    }

    fn headers(&mut self, written: &WrittenProvider) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &written.headers.0 {
            let field = format!("headers.{name}");
            let value = self.secret(&field, value);
            let Ok(name) = name.parse::<HeaderName>() else {
                self.refuse("headers", "has a name that no header can have: correct it");
                continue;
            };
            match value.as_deref().map(HeaderValue::from_str) {
                Some(Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.append(name, value);
                }
                Some(Err(_)) => self.refuse(
                    &field,
                    "has a value that no header can have: leave out line breaks and control \
                     characters",
                ),
                None => {}
            }
        }
        headers
    }

    fn models(&mut self, models: &[Model]) -> Vec<Model> {
        let read = |model: &Model| Model {
            id: self.text("models[].id", &model.id),
            name: model.name.as_ref().map(|it| self.text("models[].name", it)),
        };
        models.iter().map(read).collect()
    }

    /// Whether this provider, whose problems begin there, has one with this field.
    fn is_refused(&self, first: usize, field: &str) -> bool {
        self.problems[first..].iter().any(|it| it.field == field)
    }

    fn settings(
        &mut self,
        first: usize,
        meant: &Meant,
        local: &LocalServiceConfig,
    ) -> Option<(Uri, Settings)> {
        match local.validate(self.id, &meant.base_url) {
            Ok(settings) => Some((settings.base.clone(), settings)),
            Err(error) => {
                if let ErrorKind::InvalidConfig { problems } = error.kind() {
                    for Problem { field, remedy, .. } in problems {
                        let field = match field.as_str() {
                            "baseUrl" | "apiKey" | "name" => field.clone(),
                            _ => format!("localService.{field}"),
                        };
                        // What could not be filled in is told already.
                        if !self.is_refused(first, &field) {
                            self.refuse(&field, remedy.clone());
                        }
                    }
                }
                None
            }
        }
    }

    /// Of a provider that is not ours to start, and may be anything that can be sent to.
    fn base(&mut self, text: &str) -> Option<Uri> {
        let url = text.parse::<Uri>().ok();
        let url = url.filter(|url| url.scheme().is_some() && url.authority().is_some());
        if url.is_none() {
            self.refuse(
                "baseUrl",
                "is no URL: write one like https://api.example.com/v1",
            );
        }
        url
    }
}
