//! A server that runs, for what is measured of warm requests.

use tower_local_service::LocalService;

use crate::support::Fixture;

pub(crate) struct Running {
    pub(crate) service: LocalService,
    // The last to be dropped: it looks what the service left behind.
    pub(crate) fixture: Fixture,
}

/// Once it is started, for the rest of the benchmark.
pub(crate) fn running(name: &str) -> Running {
    let fixture = Fixture::new().with("--max-life", 1_000_000);
    let service = fixture.service(name);
    Running { service, fixture }
}
