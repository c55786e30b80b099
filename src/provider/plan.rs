//! Reads the providers of a file: with all values filled in, or all that is wrong with them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    env,
    panic::{self, AssertUnwindSafe},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header::AUTHORIZATION};

use super::{
    FILE,
    data::Model,
    file::{
        Auth, ModelChoice, Preference, ProvidersConfig, Secret, WrittenModel, WrittenPreference,
        WrittenProvider,
    },
    variables::{Lookup, Variables, expand, look_up, short},
};
use crate::{
    amount::Amount,
    config::{Credentials, LONGEST, LocalServiceConfig, Refusals, Settings, Unique},
    error::{Error, ErrorKind, Problem},
    service::{Capacities, choose_port},
};

/// Stands in the place of a base URL that cannot be found out. By RFC 2606 it leads nowhere.
const NOWHERE: &str = "http://unavailable.invalid";

pub(super) struct Plan {
    pub(super) providers: Vec<Planned>,
    pub(super) primary: Option<String>,
    /// What is no reason to refuse the file, but should be known.
    pub(super) warnings: Vec<Problem>,
    /// What the next reading looks variables up by; those of the process if `None`.
    pub(super) variables: Option<Variables>,
    /// How much the file says that there is.
    pub(super) resources: BTreeMap<String, Amount>,
    /// The providers whose servers are started ahead.
    pub(super) preload: Vec<String>,
    /// Short names, and the models that they stand for.
    pub(super) aliases: BTreeMap<String, String>,
}

/// A provider that can work, or one that is unavailable.
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
    /// What cannot be found out. The provider is unavailable if there is anything.
    pub(super) unresolved: Vec<Problem>,
}

impl Plan {
    /// # Errors
    ///
    /// [`ErrorKind::InvalidConfig`] with all problems.
    pub(super) fn of(
        mut config: ProvidersConfig,
        lookup: &Lookup<'_>,
        capacities: &Capacities,
    ) -> Result<Self, Error> {
        let written = config.take_variables();
        let resources = std::mem::take(&mut config.models.resources.0);
        let scope = Scope {
            capacity: &|resource| {
                let written = resources.get(resource).copied();
                let said = [written, capacities.of_others(resource)];
                said.into_iter().flatten().min()
            },
            ..Scope::new(written, lookup)
        };
        let mut problems = Vec::new();
        let mut providers: Vec<Planned> = Vec::new();
        let mut warnings = std::mem::take(&mut config.read.misspelt);
        let file = config.read.file.take();
        let primary = config.agents.defaults.model.take();
        let aliases = aliases(std::mem::take(&mut config.agents.defaults.models));
        let preload = std::mem::take(&mut config.models.preload);
        for (place, (id, written)) in config.providers().enumerate() {
            let mut reader = Reader::new(&id, place, &scope);
            let planned = reader.provider(written);
            problems.extend(reader.unresolved.into_problems());
            problems.extend(reader.refusals.into_problems());
            if let Some(Planned {
                settings: Some(settings),
                ..
            }) = &planned
            {
                warnings.extend(settings.launcher.problems(&id));
                warnings.extend(settings.launcher.warnings(&id));
            }
            providers.extend(planned);
        }
        problems.extend(not_preloadable(&preload, &providers));
        let mut reader = Reader::new(FILE, 0, &scope);
        let primary = primary.and_then(ModelChoice::primary);
        let primary = primary.map(|text| reader.text("agents.defaults.model", &text));
        let unresolved = reader.unresolved.into_problems();
        let primary = primary.filter(|_| unresolved.is_empty());
        warnings.extend(unresolved);

        let are_unresolved = providers.iter().map(|it| it.meant.unresolved.len()).sum();
        if problems.len() > are_unresolved {
            let error = Error::new(FILE, ErrorKind::InvalidConfig { problems });
            return Err(error.of_configuration(file.as_deref()));
        }
        warnings.splice(0..0, problems);
        Ok(Self {
            providers,
            primary,
            warnings,
            variables: None,
            resources,
            preload,
            aliases,
        })
    }
}

/// Of two models with the same alias it is that of the first.
fn aliases(models: BTreeMap<String, WrittenPreference>) -> BTreeMap<String, String> {
    let mut aliases = BTreeMap::new();
    for (model, preference) in models {
        if let WrittenPreference::Of(Preference { alias: Some(alias) }) = preference {
            aliases.entry(alias.trim().to_owned()).or_insert(model);
        }
    }
    aliases.remove("");
    aliases
}

fn not_preloadable<'a>(
    preload: &'a [String],
    providers: &'a [Planned],
) -> impl Iterator<Item = Problem> + 'a {
    let is_local = |id: &String| {
        let provider = providers.iter().find(|it| it.id == *id);
        provider.is_some_and(|it| it.meant.local.is_some())
    };
    let wrong = preload.iter().filter(move |id| !is_local(id));
    wrong.map(|id| {
        let message =
            format!("names {id:?}, which is no provider with a localService: write the id of one");
        Problem::new(FILE, "preload", message)
    })
}

/// Where the variables of a file come from.
struct Scope<'a> {
    lookup: &'a Lookup<'a>,
    /// Those of the file itself.
    written: BTreeMap<String, String>,
    /// Those whose look-up panicked.
    panicked: RefCell<BTreeSet<String>>,
    /// How much there is of a resource.
    capacity: &'a dyn Fn(&str) -> Option<Amount>,
}

impl<'a> Scope<'a> {
    fn new(written: BTreeMap<String, String>, lookup: &'a Lookup<'a>) -> Self {
        let mut scope = Self {
            lookup,
            written: BTreeMap::new(),
            panicked: RefCell::default(),
            capacity: &|_| None,
        };
        let given = |name: &str| scope.given(name);
        let written = written
            .into_iter()
            .filter_map(|(name, value)| Some((name, expand(&value, &given).ok()?)));
        let written = written.collect();
        scope.written = written;
        scope
    }

    /// That of your program, which may do anything.
    fn given(&self, name: &str) -> Option<String> {
        let lookup = AssertUnwindSafe(|| look_up(name, self.lookup));
        panic::catch_unwind(lookup).unwrap_or_else(|_| {
            self.panicked.borrow_mut().insert(name.to_owned());
            None
        })
    }

    fn variable(&self, name: &str) -> Option<String> {
        let given = self.given(name);
        given.or_else(|| self.written.get(name).cloned())
    }

    fn home(&self) -> Option<String> {
        let home = || env::home_dir()?.into_os_string().into_string().ok();
        look_up("HOME", &|name: &str| self.variable(name))
            .or_else(home)
            .filter(|home| home.starts_with('/'))
    }
}

/// Reads one provider, and keeps what is wrong with it.
struct Reader<'a> {
    id: &'a str,
    /// Its number.
    place: usize,
    scope: &'a Scope<'a>,
    /// What is wrong.
    refusals: Refusals<'a>,
    /// What may be right elsewhere, but cannot be found out here.
    unresolved: Refusals<'a>,
}

impl<'a> Reader<'a> {
    fn new(id: &'a str, place: usize, scope: &'a Scope<'a>) -> Self {
        Self {
            id,
            place,
            scope,
            refusals: Refusals::of(id),
            unresolved: Refusals::of(id),
        }
    }

    /// `None` if nothing can be made of it.
    fn provider(&mut self, written: WrittenProvider) -> Option<Planned> {
        let mut meant = self.meant(written);
        let (base, settings) = match &meant.local {
            Some(local) => self.settings(&meant, local).unzip(),
            None if self.has("baseUrl") => (None, None),
            None => (self.base("baseUrl", &meant.base_url), None),
        };
        meant.unresolved = self.unresolved.problems().to_vec();
        let (base, settings) = if meant.unresolved.is_empty() {
            (base?, settings)
        } else {
            let base = base.or_else(|| absolute(&meant.base_url));
            // Each its own, so that a request for it gets its own error.
            let nowhere = || format!("{NOWHERE}/{}", self.place).parse().ok();
            (base.or_else(nowhere)?, None)
        };
        Some(Planned {
            id: self.id.to_owned(),
            meant,
            base,
            settings,
        })
    }

    fn meant(&mut self, written: WrittenProvider) -> Meant {
        let base_url = written.base_url();
        if base_url.is_none() {
            self.refusals.add(
                "baseUrl",
                "is missing: write where the API begins, such as http://127.0.0.1:8080/v1",
            );
        }
        let base_url = self.text("baseUrl", base_url.unwrap_or_default());
        let api_key = written.api_key.as_ref();
        let api_key = api_key.and_then(|key| self.secret("apiKey", key));
        // What reads it out of a file leaves a line break at its end; a blank one is none.
        let api_key = api_key.map(|key| key.trim().to_owned());
        let api_key = api_key.filter(|key| !key.is_empty());
        let api = written.api.as_ref().map(|api| self.text("api", api));
        let timeout = written.timeout_seconds;
        let timeout = timeout.and_then(|seconds| self.timeout(seconds));
        let mut headers = self.headers("headers", &written.headers);
        // They replace those of the same name.
        headers.extend(self.headers("request.headers", &written.request.headers));
        let mut credentials = Credentials {
            key: api_key,
            headers,
        };
        if let Some(auth) = &written.request.auth {
            self.authorize(&mut credentials, auth);
        }
        let models = written.models.iter();
        let models = models.map(|it| self.model(it)).collect();
        let local = written.local_service.map(|local| {
            let local = local.change_strings(|field, text| self.local_text(field, &text));
            let local = self.inherit(local);
            let local = match models_url(base_url.trim(), api.as_deref()) {
                Some(url) => local.health_url_or(url),
                None => local,
            };
            local.credentials(credentials.clone())
        });
        Meant {
            base_url: base_url.trim().to_owned(),
            api_key: credentials.key,
            api,
            timeout,
            headers: credentials.headers,
            models,
            local,
            unresolved: Vec::new(),
        }
    }

    fn has(&self, field: &str) -> bool {
        self.refusals.has(field) || self.unresolved.has(field)
    }

    /// A string of a local service.
    fn local_text(&mut self, field: &str, text: &str) -> String {
        let name = format!("localService.{field}");
        let text = self.text(&name, text);
        let is_path = matches!(
            field,
            "command" | "cwd" | "args" | "stopCommand" | "container.mounts"
        );
        let Some(rest) = text.strip_prefix('~').filter(|rest| {
            // `~other` is a user, whose home folder is not looked for.
            is_path && (rest.is_empty() || rest.starts_with('/'))
        }) else {
            return text;
        };
        if let Some(home) = self.scope.home() {
            format!("{}{rest}", home.trim_end_matches('/'))
        } else {
            self.unresolved.add(
                &name,
                "begins with `~`, and the home folder is not known: set HOME, or write it in full",
            );
            text
        }
    }

    /// The process finds the variables of the file in its environment, as far as your program has none of
    /// that name.
    fn inherit(&self, mut local: LocalServiceConfig) -> LocalServiceConfig {
        for (name, value) in &self.scope.written {
            if env::var_os(name).is_none_or(|value| value.is_empty()) {
                local = local.env_to_inherit(name, value);
            }
        }
        local
    }

    fn text(&mut self, field: &str, text: &str) -> String {
        let scope = self.scope;
        expand(text, &|name: &str| scope.variable(name)).unwrap_or_else(|missing| {
            for name in missing {
                // Shells and templates have such texts.
                let or = if field.starts_with("localService.") {
                    format!(", or write $${{{name}}} if that text is meant")
                } else {
                    String::new()
                };
                self.missing(field, &name, &or);
            }
            String::new()
        })
    }

    fn missing(&mut self, field: &str, variable: &str, or: &str) {
        let why = if self.scope.panicked.borrow().contains(variable) {
            "whose look-up by your program panicked: correct that"
        } else {
            "which is unset or empty: set it before your program starts, or in `env` of the file"
        };
        let message = format!("needs the variable {variable}, {why}{or}");
        self.unresolved.add(field, message);
    }

    fn secret(&mut self, field: &str, secret: &Secret) -> Option<String> {
        let name = match secret {
            Secret::Text(text) => {
                let Some(name) = short(text) else {
                    let text = self.text(field, text);
                    return (!self.unresolved.has(field)).then_some(text);
                };
                name
            }
            Secret::From(from) if from.source == "env" => &from.id,
            Secret::From(from) => {
                let source = &from.source;
                self.unresolved.add(
                    field,
                    format!(
                        "comes from the source {source:?}, which is not supported: write \
                         {{ source: \"env\", id: \"NAME\" }}, or \"${{NAME}}\""
                    ),
                );
                return None;
            }
            Secret::Other(_) => {
                self.refusals.add(
                    field,
                    "is neither a string nor { source: \"env\", id: \"NAME\" }: put it in quotes",
                );
                return None;
            }
        };
        let value = self.scope.variable(name);
        if value.is_none() {
            self.missing(field, name, "");
        }
        value
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

    fn headers(&mut self, place: &str, written: &Unique<Secret>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &written.0 {
            let field = format!("{place}.{name}");
            let value = self.secret(&field, value);
            self.header(place, name, value.as_deref(), &mut headers);
        }
        headers
    }

    fn header(&mut self, place: &str, name: &str, value: Option<&str>, headers: &mut HeaderMap) {
        let Ok(name) = name.parse::<HeaderName>() else {
            self.refusals.add(
                place,
                "has an invalid name: write letters, digits and dashes",
            );
            return;
        };
        match value.map(HeaderValue::from_str) {
            Some(Ok(mut value)) => {
                value.set_sensitive(true);
                headers.append(name, value);
            }
            Some(Err(_)) => self.refusals.add(
                &format!("{place}.{name}"),
                "has a value that cannot be sent: leave out line breaks and control characters",
            ),
            None => {}
        }
    }

    fn authorize(&mut self, credentials: &mut Credentials, auth: &Auth) {
        let place = "request.auth";
        let missing = |field: &str| format!("has no `{field}`, which its `mode` needs: write one");
        match &*auth.mode {
            "" | "provider-default" => {}
            "authorization-bearer" => {
                let Some(token) = &auth.token else {
                    return self.refusals.add(place, missing("token"));
                };
                credentials.key = self.secret("request.auth.token", token);
                credentials.headers.remove(AUTHORIZATION);
            }
            "header" => {
                let Some((name, value)) = auth.header_name.as_deref().zip(auth.value.as_ref())
                else {
                    let field = if auth.value.is_some() {
                        "headerName"
                    } else {
                        "value"
                    };
                    return self.refusals.add(place, missing(field));
                };
                let value = self.secret("request.auth.value", value);
                let prefix = auth.prefix.as_deref().unwrap_or_default();
                let prefix = self.text("request.auth.prefix", prefix);
                let value = value.map(|value| format!("{prefix}{value}"));
                // It stands in the place of the key.
                credentials.key = None;
                credentials.headers.remove(AUTHORIZATION);
                credentials.headers.remove(name);
                self.header(place, name, value.as_deref(), &mut credentials.headers);
            }
            mode => self.unresolved.add(
                "request.auth.mode",
                format!(
                    "is {mode:?}, which is not supported: write \"authorization-bearer\" or \
                     \"header\""
                ),
            ),
        }
    }

    fn model(&mut self, written: &WrittenModel) -> Model {
        let field = "models[].baseUrl";
        let base_url = written.base_url.as_ref();
        let base_url = base_url.map(|it| self.text(field, it).trim().to_owned());
        let base_url = base_url.filter(|it| !it.is_empty());
        Model {
            id: self.text("models[].id", &written.id),
            name: written
                .name
                .as_ref()
                .map(|it| self.text("models[].name", it)),
            base_url: base_url.and_then(|it| self.base(field, &it)),
            api: written.api.as_ref().map(|it| self.text("models[].api", it)),
            headers: self.headers("models[].headers", &written.headers),
        }
    }

    fn settings(&mut self, meant: &Meant, local: &LocalServiceConfig) -> Option<(Uri, Settings)> {
        let error = match local.validate_with(
            self.id,
            &meant.base_url,
            self.scope.capacity,
            &choose_port,
        ) {
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
                (!self.has(&field)).then(|| (field, message.clone()))
            });
        for (field, message) in refused.collect::<Vec<_>>() {
            self.refusals.add(&field, message);
        }
        None
    }

    /// A base URL without a local server: of any scheme.
    fn base(&mut self, field: &str, text: &str) -> Option<Uri> {
        let url = absolute(text);
        if url.is_none() {
            self.refusals.add(
                field,
                "is not a URL: write one such as https://api.example.com/v1",
            );
        }
        url
    }
}

fn absolute(text: &str) -> Option<Uri> {
    let url = text.parse::<Uri>().ok();
    url.filter(|url| url.scheme().is_some() && url.authority().is_some())
}

/// Where a server lists its models, for the APIs whose base URLs are written without a version.
fn models_url(base_url: &str, api: Option<&str>) -> Option<String> {
    let base = base_url.trim_end_matches('/');
    let is_without = matches!(api, Some("anthropic-messages" | "ollama")) && !base.ends_with("/v1");
    is_without.then(|| format!("{base}/v1/models"))
}
