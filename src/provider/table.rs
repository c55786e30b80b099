//! The providers of one reading, and how it differs from the one before.

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

/// What a response may take beyond a cold start.
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
    /// With the services of the former reading where nothing about them has changed.
    ///
    /// # Errors
    ///
    /// If the registry is shut down. Nothing has changed then.
    pub(super) fn new(plan: Plan, registry: &Registry, former: &Self) -> Result<Self, Error> {
        let mut table = Self {
            primary: plan.primary,
            ..Self::default()
        };
        let mut adopted = Vec::new();
        for planned in plan.providers {
            let kept = former.service_to_keep(&planned, registry);
            let service = match (kept, planned.settings) {
                (Some(kept), _) => Some(kept),
                (None, None) => None,
                (None, Some(settings)) => match registry.adopt(planned.id.clone(), settings) {
                    Ok(service) => {
                        adopted.push(service.clone());
                        Some(service)
                    }
                    Err(error) => {
                        registry.let_go(&adopted);
                        return Err(error);
                    }
                },
            };
            table.routes.insert(&planned.base, service.as_ref());
            let entry = Entry {
                provider: provider(planned.id.clone(), planned.base, &planned.meant, service),
                meant: planned.meant,
            };
            table.providers.insert(planned.id, entry);
        }
        Ok(table)
    }

    fn service_to_keep(&self, planned: &Planned, registry: &Registry) -> Option<LocalService> {
        let former = self.providers.get(&planned.id)?;
        let is_same =
            former.meant.local == planned.meant.local && former.provider.base_url == planned.base;
        // One that somebody has retired by hand is to come back, as the file still has it.
        let service = former.provider.service.as_ref();
        service
            .filter(|it| is_same && !it.is_shut_down() && registry.has(it))
            .cloned()
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &LocalService> {
        let entries = self.providers.values();
        entries.filter_map(|entry| entry.provider.service.as_ref())
    }

    /// The services of this one that the next one does not have.
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

fn provider(
    id: String,
    base_url: http::Uri,
    meant: &Meant,
    service: Option<LocalService>,
) -> Provider {
    let start = service
        .as_ref()
        .map(|it| it.settings().policy.ready_timeout);
    let timeout = meant.timeout;
    Provider {
        id,
        base_url,
        api_key: meant.api_key.clone(),
        api: meant.api.clone(),
        timeout: timeout.unwrap_or_else(|| start.unwrap_or_default() + TIMEOUT),
        headers: meant.headers.clone(),
        models: meant.models.clone(),
        service,
    }
}
