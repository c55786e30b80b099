//! Reads the providers of a file: with all values filled in, or all that is wrong with them.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{
    FILE,
    file::{Model, ModelChoice, ProvidersConfig, Secret, WrittenProvider},
    variables::{Lookup, expand, look_up},
};
use crate::{
    config::{LONGEST, LocalServiceConfig, Refusals, Settings},
    error::{Error, ErrorKind, Problem},
};

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
    pub(super) fn of(mut config: ProvidersConfig, lookup: &Lookup<'_>) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let mut providers = Vec::new();
        let primary = config.agents.defaults.model.take();
        for (id, written) in config.providers() {
            let mut reader = Reader::new(&id, lookup);
            providers.extend(reader.provider(written));
            problems.extend(reader.refusals.into_problems());
        }
        let mut reader = Reader::new(FILE, lookup);
        let primary = primary.and_then(ModelChoice::primary);
        let primary = primary.map(|text| reader.text("agents.defaults.model", &text));
        problems.extend(reader.refusals.into_problems());
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
    refusals: Refusals<'a>,
}

impl<'a> Reader<'a> {
    fn new(id: &'a str, lookup: &'a Lookup<'a>) -> Self {
        Self {
            id,
            lookup,
            refusals: Refusals::of(id),
        }
    }

    /// `None` if nothing can be made of it.
    fn provider(&mut self, written: WrittenProvider) -> Option<Planned> {
        let meant = self.meant(written);
        let (base, settings) = match &meant.local {
            Some(local) => self.settings(&meant, local).unzip(),
            None if self.refusals.has("baseUrl") => (None, None),
            None => (self.base(&meant.base_url), None),
        };
        Some(Planned {
            id: self.id.to_owned(),
            meant,
            base: base?,
            settings,
        })
    }

    fn meant(&mut self, written: WrittenProvider) -> Meant {
        if !written.has_base_url() {
            self.refusals.add(
                "baseUrl",
                "is missing: write where the API begins, such as http://127.0.0.1:8080/v1",
            );
        }
        let base_url = self.text("baseUrl", written.base_url.as_deref().unwrap_or_default());
        let api_key = written.api_key.as_ref();
        let api_key = api_key.and_then(|key| self.secret("apiKey", key));
        let api = written.api.as_ref().map(|api| self.text("api", api));
        let timeout = written.timeout_seconds;
        let timeout = timeout.and_then(|seconds| self.timeout(seconds));
        let headers = self.headers(&written);
        let models = self.models(&written.models);
        let local = written.local_service.map(|local| {
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
        self.refusals.add(
            field,
            format!(
                "needs the environment variable {variable}, which is unset or empty: set it before \
                 your program starts"
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
                self.refusals.add(
                    field,
                    format!(
                        "comes from the source {source:?}, which is not supported: write \
                         {{ source: \"env\", id: \"NAME\" }}, or \"${{NAME}}\""
                    ),
                );
                None
            }
            Secret::Other(_) => {
                self.refusals.add(
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
            self.refusals.add(
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
                self.refusals.add(
                    "headers",
                    "has an invalid name: write letters, digits and dashes",
                );
                continue;
            };
            match value.as_deref().map(HeaderValue::from_str) {
                Some(Ok(mut value)) => {
                    value.set_sensitive(true);
                    headers.append(name, value);
                }
                Some(Err(_)) => self.refusals.add(
                    &field,
                    "has a value that cannot be sent: leave out line breaks and control characters",
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

    fn settings(&mut self, meant: &Meant, local: &LocalServiceConfig) -> Option<(Uri, Settings)> {
        let error = match local.validate(self.id, &meant.base_url) {
            Ok(settings) => return Some((settings.base.clone(), settings)),
            Err(error) => error,
        };
        let ErrorKind::InvalidConfig { problems } = error.kind() else {
            return None;
        };
        // What could not be filled in has been refused already.
        let refused = problems
            .iter()
            .filter_map(|Problem { field, message, .. }| {
                let field = match field.as_str() {
                    "baseUrl" | "apiKey" | "name" => field.clone(),
                    _ => format!("localService.{field}"),
                };
                (!self.refusals.has(&field)).then(|| (field, message.clone()))
            });
        for (field, message) in refused.collect::<Vec<_>>() {
            self.refusals.add(&field, message);
        }
        None
    }

    /// The base URL of a provider without a local server: of any scheme.
    fn base(&mut self, text: &str) -> Option<Uri> {
        let url = text.parse::<Uri>().ok();
        let url = url.filter(|url| url.scheme().is_some() && url.authority().is_some());
        if url.is_none() {
            self.refusals.add(
                "baseUrl",
                "is no URL: write one such as https://api.example.com/v1",
            );
        }
        url
    }
}
