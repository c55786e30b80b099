//! The providers of one reading of a file, and how two readings differ.

use std::{collections::BTreeMap, time::Duration};

use super::{
    data::{Changes, Provider},
    plan::{Meant, Plan, Planned},
    routes::Routes,
};
use crate::{
    error::Error,
    service::{LocalService, Registry},
};

/// How long a response may take beyond a cold start, where the file has no time.
const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Default)]
pub(super) struct Table {
    pub(super) providers: BTreeMap<String, Entry>,
    pub(super) primary: Option<String>,
    pub(super) routes: Routes,
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
            providers.insert(planned.id.clone(), Entry::new(planned, service));
        }
        let bases = providers.values().map(|entry: &Entry| &entry.provider);
        Ok(Self {
            routes: Routes::new(bases.map(|it| (&it.base_url, it.service.as_ref()))),
            primary: plan.primary,
            providers,
        })
    }

    pub(super) fn resolve_model(&self, model: &str) -> Option<(Provider, String)> {
        let model = model.trim();
        // The longest id first: ids may have slashes, as models do.
        model.rmatch_indices('/').find_map(|(slash, _)| {
            let entry = self.providers.get(&model[..slash])?;
            let model = &model[slash + 1..];
            (!model.is_empty()).then(|| (entry.provider.clone(), model.to_owned()))
        })
    }

    fn service_to_keep(&self, planned: &Planned, registry: &Registry) -> Option<LocalService> {
        let former = self.providers.get(&planned.id)?;
        let is_same =
            former.meant.local == planned.meant.local && former.provider.base_url == planned.base;
        // A service that was retired by hand comes back, as the file still has it.
        let service = former.provider.service.as_ref();
        service
            .filter(|it| is_same && !it.is_shut_down() && registry.has(it))
            .cloned()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &LocalService> {
        let entries = self.providers.values();
        entries.filter_map(|entry| entry.provider.service.as_ref())
    }

    /// The services that the next reading does not have.
    pub(super) fn services_without(&self, next: &Self) -> Vec<LocalService> {
        let is_in_next = |service: &LocalService| {
            let same = next.providers.get(service.name());
            let same = same.and_then(|entry| entry.provider.service.as_ref());
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

impl Entry {
    fn new(planned: Planned, service: Option<LocalService>) -> Self {
        let meant = planned.meant;
        let start = service
            .as_ref()
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
        };
        Self { provider, meant }
    }
}
