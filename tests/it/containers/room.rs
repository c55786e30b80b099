//! R1–R8: containers and processes that do not fit on the machine together.

use tower_local_service::{ErrorKind, LocalService, LocalServiceConfig, Registry};

use super::{container, containers, url};
use crate::support::{Fixture, ask, free_port, ms, within};

/// A resource of this test alone, of which there is one.
struct Gpu {
    name: String,
    registry: Registry,
}

impl Gpu {
    fn new(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let registry = Registry::new();
        registry.capacity(&name, 1);
        Self { name, registry }
    }

    fn service(
        &self,
        port: u16,
        change: impl FnOnce(LocalServiceConfig) -> LocalServiceConfig,
    ) -> LocalService {
        let config = LocalServiceConfig::launched_by(container(&[])).needs(&self.name, 1);
        let url = format!("http://127.0.0.1:{port}/v1");
        let name = format!("container at {port}");
        self.registry.service(name, url, change(config)).unwrap()
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_and_a_process_that_do_not_fit_together_make_way_for_each_other() {
    let gpu = Gpu::new("mixed");
    let port = free_port();
    let in_container = gpu.service(port, |config| config);
    let fixture = Fixture::new();
    let process = fixture.configured("process", fixture.config().needs(&gpu.name, 1));
    for _ in 0..2 {
        ask(&in_container, &url(port, "/hello")).await.unwrap();
        assert!(fixture.alive().is_empty(), "the process has made way");
        ask(&process, &fixture.url("/hello")).await.unwrap();
        assert!(containers(port).is_empty(), "the container has made way");
    }
    within("the stop", process.stop()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_in_use_is_not_evicted_and_one_that_is_idle_is() {
    let gpu = Gpu::new("used");
    let ports = [free_port(), free_port()];
    let hasty = |config: LocalServiceConfig| config.swap_timeout(ms(500));
    let [first, second] = ports.map(|port| gpu.service(port, hasty));
    let lease = within("ready", first.acquire()).await.unwrap();
    let error = within("the error", second.acquire()).await.unwrap_err();
    let ErrorKind::NoRoom { holders, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(holders, &[format!("container at {}", ports[0])]);
    assert_eq!(ports.map(|it| containers(it).len()), [1, 0]);

    drop(lease);
    let patient = gpu.service(ports[1], |config| config);
    ask(&patient, &url(ports[1], "/hello")).await.unwrap();
    assert_eq!(ports.map(|it| containers(it).len()), [0, 1]);
    within("the stop", patient.stop()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_that_is_pinned_is_not_evicted() {
    let gpu = Gpu::new("pinned");
    let ports = [free_port(), free_port()];
    let pinned = gpu.service(ports[0], |config| config.pinned(true));
    let other = gpu.service(ports[1], |config| config.swap_timeout(ms(500)));
    ask(&pinned, &url(ports[0], "/hello")).await.unwrap();
    let error = within("the error", other.acquire()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoRoom { .. }), "{error}");
    assert_eq!(ports.map(|it| containers(it).len()), [1, 0]);
    within("the stop", pinned.stop()).await.unwrap();
}
