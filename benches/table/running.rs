//! A server that runs, for the measurements of warm requests.

use tower_local_service::LocalService;

use crate::support::Fixture;

pub(crate) struct Running {
    pub(crate) service: LocalService,
    // Dropped last: it checks what the service left behind.
    pub(crate) fixture: Fixture,
}

/// A service that runs for the rest of the benchmark, once it is started.
pub(crate) fn running(name: &str) -> Running {
    let fixture = Fixture::new().with("--max-life", 1_000_000);
    let service = fixture.service(name);
    Running { service, fixture }
}
