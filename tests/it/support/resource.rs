//! What several servers of one test need and have too little of.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use tower_local_service::{LocalService, LocalServiceConfig, Registry, ResourceStatus};

use super::Fixture;

/// It is there as long as this lives.
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) registry: Registry,
}

impl Resource {
    pub(crate) fn with(amount: u64) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // The programs of a user share it by this name.
        let number = NEXT.fetch_add(1, Relaxed);
        let name = format!("gpu{number}-{}", std::process::id());
        let registry = Registry::new();
        registry.capacity(&name, amount);
        Self { name, registry }
    }

    pub(crate) fn service(
        &self,
        fixture: &Fixture,
        name: &str,
        needs: u64,
        config: LocalServiceConfig,
    ) -> LocalService {
        fixture.configured(name, config.needs(&self.name, needs))
    }

    pub(crate) fn status(&self) -> ResourceStatus {
        let mut resources = self.registry.resources().into_iter();
        let status = resources.find(|it| it.name == self.name);
        status.expect("there is some of it")
    }
}
