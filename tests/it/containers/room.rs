//! R1–R8: containers and processes that do not fit on the machine together.

use tokio::runtime::Handle;
use tower_local_service::{ErrorKind, LocalService, LocalServiceConfig, Registry};

use super::{container, containers, url};
use crate::support::{Fixture, PATIENCE, ask, eventually, free_port, ms, now, since, within};

/// A resource of this test alone.
struct Gpu {
    name: String,
    registry: Registry,
}

impl Gpu {
    /// There is one of it.
    fn new(name: &str) -> Self {
        Self::with(name, 1)
    }

    fn with(name: &str, capacity: u64) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let registry = Registry::new();
        registry.capacity(&name, capacity);
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

#[tokio::test]
#[ignore = "needs an engine"]
async fn of_two_idle_containers_the_one_that_was_used_least_recently_makes_way_and_only_it() {
    let gpu = Gpu::with("least-recently", 2);
    let ports = [(); 3].map(|()| free_port());
    let services = ports.map(|port| gpu.service(port, |config| config));
    let hello = async |nth: usize| {
        let (_, text) = ask(&services[nth], &url(ports[nth], "/hello"))
            .await
            .unwrap();
        assert_eq!(text, "hello");
    };
    let begun = now();
    hello(0).await;
    let (took, used) = (since(begun), now());
    hello(1).await;
    let kept = containers(ports[1]);
    // A server counts as used later by three times what its start took.
    while since(used) <= took * 4 {
        hello(1).await;
        tokio::time::sleep(ms(20)).await;
    }
    hello(2).await;
    assert_eq!(ports.map(|it| containers(it).len()), [0, 1, 1]);
    assert_eq!(containers(ports[1]), kept);
    assert_eq!(services.each_ref().map(|it| it.status().starts), [1; 3]);
    for service in &services[1..] {
        within("the stop", service.stop()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_in_use_takes_requests_in_its_turn_although_another_one_needs_its_place() {
    let gpu = Gpu::new("turn");
    let ports = [free_port(), free_port()];
    let turn = ms(4000);
    let patient = |config: LocalServiceConfig| config.turn(turn).swap_timeout(PATIENCE * 4);
    let [first, second] = ports.map(|port| gpu.service(port, patient));
    let lease = within("ready", first.acquire()).await.unwrap();
    let ready = now();
    let other = second.clone();
    let asked = Handle::current().spawn(async move { other.acquire().await });
    eventually("it waits", || second.status().waits_for.is_some()).await;
    eventually("its turn is over", || first.try_acquire().is_none()).await;
    // It may have been ready for a moment before this test knew.
    assert!(since(ready) > turn / 2, "{:?}", since(ready));
    assert_eq!(ports.map(|it| containers(it).len()), [1, 0], "it is in use");
    drop(lease);
    let lease = within("the other one", asked).await.unwrap().unwrap();
    assert_eq!(ports.map(|it| containers(it).len()), [0, 1]);
    drop(lease);
    within("the stop", second.stop()).await.unwrap();
}
