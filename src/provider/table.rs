//! The providers of one reading of a file, and how two readings differ.

use std::{collections::BTreeMap, time::Duration};

use http::Uri;

use super::{
    data::{Changes, Model, Provider},
    plan::{Meant, Plan, Planned},
    routes::{Rank, Routes},
    variables::Variables,
};
use crate::{
    config::same_origin,
    error::{Error, ErrorKind, Problem},
    service::{LocalService, Registry},
};

/// How long a response may take beyond a cold start, where the file has no time.
const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Default)]
pub(super) struct Table {
    pub(super) providers: BTreeMap<String, Entry>,
    /// The length of the longest id.
    longest: usize,
    pub(super) primary: Option<String>,
    pub(super) preload: Vec<String>,
    pub(super) aliases: BTreeMap<String, String>,
    pub(super) routes: Routes,
    pub(super) warnings: Vec<Problem>,
    /// Those of the process if `None`.
    pub(super) variables: Option<Variables>,
}

pub(super) struct Entry {
    pub(super) provider: Provider,
    meant: Meant,
}

impl Table {
    /// Takes over the services of the former reading of which nothing has changed.
    ///
    /// # Errors
    ///
    /// The registry is shut down. It is then as it was.
    pub(super) fn new(plan: Plan, registry: &Registry, former: &Self) -> Result<Self, Error> {
        let mut providers = BTreeMap::new();
        let mut adopted = Vec::new();
        for mut planned in plan.providers {
            if let Some(error) = planned.unavailable() {
                let service = LocalService::unavailable(&planned.id, &planned.base, error.clone());
                let entry = Entry::new(planned, Some(service), Some(error));
                providers.insert(entry.provider.id.clone(), entry);
                continue;
            }
            let service = match (
                former.service_to_keep(&planned, registry),
                planned.settings.take(),
            ) {
                (Some(kept), _) => Some(kept),
                (None, None) => None,
                (None, Some(settings)) => {
                    let service = registry.adopt(planned.id.clone(), settings);
                    let service = service.inspect_err(|_| registry.let_go(&adopted))?;
                    adopted.push(service.clone());
                    Some(service)
                }
            };
            providers.insert(planned.id.clone(), Entry::new(planned, service, None));
        }
        Ok(Self {
            routes: Routes::new(providers.values().flat_map(Entry::bases)),
            longest: providers.keys().map(String::len).max().unwrap_or_default(),
            primary: plan.primary,
            preload: plan.preload,
            aliases: plan.aliases,
            warnings: plan.warnings,
            variables: plan.variables,
            providers,
        })
    }

    /// The events of its warnings, but for those of files: a service that is created reports those itself.
    pub(super) fn warn(&self) {
        for Problem {
            service,
            field,
            message,
        } in &self.warnings
        {
            if !matches!(&**field, "command" | "cwd" | "stopCommand") {
                tracing::warn!(
                    target: "tower_local_service",
                    provider = service,
                    field,
                    "`{field}` {message}"
                );
            }
        }
    }

    /// The provider with that id, or else with that id but for the case of its letters.
    pub(super) fn get(&self, id: &str) -> Option<&Entry> {
        let exactly = self.providers.get(id);
        // A name of many slashes costs no search for each of them.
        if exactly.is_some() || id.trim().len() > self.longest {
            return exactly;
        }
        let is_meant = |it: &&Entry| it.provider.id.trim().eq_ignore_ascii_case(id.trim());
        self.providers.values().find(is_meant)
    }

    /// A name of a provider wins over an alias.
    pub(super) fn resolve_model(&self, model: &str) -> Option<(Provider, String)> {
        let model = model.trim();
        let of_alias = || self.resolve_full(self.model_of_alias(model)?);
        self.resolve_full(model).or_else(of_alias)
    }

    fn model_of_alias(&self, name: &str) -> Option<&str> {
        let exactly = self.aliases.get(name);
        let is_meant = |(alias, _): &(&String, &String)| alias.eq_ignore_ascii_case(name);
        let model = exactly.or_else(|| Some(self.aliases.iter().find(is_meant)?.1));
        model.map(String::as_str)
    }

    fn resolve_full(&self, model: &str) -> Option<(Provider, String)> {
        let model = model.trim();
        // The longest id first: ids may have slashes, as models do.
        model.rmatch_indices('/').find_map(|(slash, _)| {
            let entry = self.get(&model[..slash])?;
            let model = &model[slash + 1..];
            (!model.is_empty()).then(|| (self.provider_of(entry, model), model.to_owned()))
        })
    }

    /// The provider, as far as this model has nothing else.
    fn provider_of(&self, entry: &Entry, model: &str) -> Provider {
        let mut provider = entry.provider.clone();
        let Some(listed) = provider.models.iter().find(|it| it.id == model).cloned() else {
            return provider;
        };
        let Model {
            base_url,
            api,
            headers,
            ..
        } = listed;
        if let Some(base_url) = base_url {
            if provider.unavailable.is_none() && !same_origin(&base_url, &provider.base_url) {
                provider.service = self.routes.resolve(&base_url);
            }
            provider.base_url = base_url;
        }
        provider.api = api.or(provider.api);
        // They replace those of the same name.
        provider.headers.extend(headers);
        provider
    }

    fn service_to_keep(&self, planned: &Planned, registry: &Registry) -> Option<LocalService> {
        let former = self.providers.get(&planned.id)?;
        let is_same = former.provider.unavailable.is_none()
            && former.meant.local == planned.meant.local
            && former.provider.base_url == planned.base;
        // A service that was retired by hand comes back, as the file still has it.
        let service = former.provider.service.as_ref();
        service
            .filter(|it| is_same && !it.is_shut_down() && registry.has(it))
            .cloned()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &LocalService> {
        let entries = self.providers.values();
        let providers = entries.map(|entry| &entry.provider);
        let available = providers.filter(|it| it.unavailable.is_none());
        available.filter_map(|it| it.service.as_ref())
    }

    /// The service of the provider with exactly that id.
    pub(super) fn service_of(&self, id: &str) -> Option<&LocalService> {
        self.providers.get(id)?.provider.service.as_ref()
    }

    /// The services that the next reading does not have.
    pub(super) fn services_without(&self, next: &Self) -> Vec<LocalService> {
        let is_in_next = |service: &LocalService| {
            let same = next.service_of(service.name());
            same.is_some_and(|it| it.is(service))
        };
        let left = self.services().filter(|it| !is_in_next(it));
        left.cloned().collect()
    }

    pub(super) fn changes_to(&self, next: &Self) -> Changes {
        let mut changes = Changes::default();
        for (id, entry) in &next.providers {
            let list = match self.providers.get(id) {
                None => &mut changes.added,
                Some(former) if former.meant == entry.meant => &mut changes.kept,
                Some(_) => &mut changes.changed,
            };
            list.push(id.clone());
        }
        let left = self.providers.keys();
        let left = left.filter(|&id| !next.providers.contains_key(id));
        changes.removed.extend(left.cloned());
        changes
    }
}

impl Planned {
    fn unavailable(&self) -> Option<Error> {
        let problems = self.meant.unresolved.clone();
        let error = || Error::new(&self.id, ErrorKind::InvalidConfig { problems }).of_provider();
        (!self.meant.unresolved.is_empty()).then(error)
    }
}

impl Entry {
    /// The base URLs that are its own: its models may have some, too.
    fn bases(&self) -> impl Iterator<Item = (&Uri, Option<&LocalService>, Rank)> {
        let provider = &self.provider;
        let rank = match (&provider.unavailable, &provider.service) {
            (Some(_), _) => Rank::Unavailable,
            (None, Some(_)) => Rank::Local,
            (None, None) => Rank::Remote,
        };
        let models = provider.models.iter();
        let models = models.filter_map(|it| it.base_url.as_ref());
        // At another origin there is another server, whatever is started for this provider.
        let models = models.filter(|it| same_origin(it, &provider.base_url));
        let bases = [&provider.base_url].into_iter().chain(models);
        bases.map(move |base| (base, provider.service.as_ref(), rank))
    }

    fn new(planned: Planned, service: Option<LocalService>, unavailable: Option<Error>) -> Self {
        let meant = planned.meant;
        let start = service
            .as_ref()
            .filter(|_| unavailable.is_none())
            .map(|it| it.settings().policy.ready_timeout);
        let timeout = meant.timeout;
        let provider = Provider {
            id: planned.id,
            base_url: planned.base,
            api_key: meant.api_key.clone(),
            api: meant.api.clone(),
            timeout: timeout.unwrap_or_else(|| start.unwrap_or_default() + TIMEOUT),
            headers: meant.headers.clone(),
            models: meant.models.clone(),
            service,
            unavailable,
        };
        Self { provider, meant }
    }
}
