//! A server that runs, for the measurements of warm requests.

use tower_local_service::LocalService;

use crate::support::{Fixture, Resource};

pub(crate) struct Running {
    pub(crate) service: LocalService,
    // Dropped last: it checks what the service left behind.
    pub(crate) fixture: Fixture,
    _gpu: Resource,
}

/// A service that runs for the rest of the benchmark, once it is started. It needs something: that is to cost a warm
/// request nothing.
pub(crate) fn running(name: &str) -> Running {
    let fixture = Fixture::new().with("--max-life", 1_000_000);
    let gpu = Resource::with(1);
    let service = gpu.service(&fixture, name, 1, fixture.config());
    Running {
        service,
        fixture,
        _gpu: gpu,
    }
}
