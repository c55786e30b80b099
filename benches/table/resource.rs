//! A resource of which there is too little, for the measurements of services that share it.

use tower_local_service::{LocalService, LocalServiceConfig, Registry};

use crate::support::Fixture;

/// A resource that no other program has, and the registry of the services that need some of it.
///
/// Declare it after their fixtures: the servers of a registry end with it.
pub(crate) struct Resource {
    pub(crate) name: String,
    pub(crate) registry: Registry,
}

impl Resource {
    pub(crate) fn with(name: &str, amount: u64) -> Self {
        let name = format!("{name}-{}", std::process::id());
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
        let config = config.needs(&self.name, needs);
        let service = self.registry.service(name, fixture.base_url(), config);
        service.expect("a configuration that works")
    }
}
