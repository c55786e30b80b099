//! A workload as a service: scaled from zero and back, by one program and by many.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower_local_service::{
    LocalService, LocalServiceConfig, Ownership, Registry, kubernetes::Workload,
};

use super::{
    api::{DEPLOYMENTS, STATEFUL_SETS, becomes},
    cluster::Cluster,
    kubelet::Kubelet,
};
use crate::{
    several_programs::program::{Program, Setup},
    support::{Fixture, PATIENCE, ask, ms, now, since},
};

pub(super) const W: &str = "w";

/// The Deployment `w`, whose Service is at the port of the fixture.
pub(super) fn workload(cluster: &Cluster) -> Workload {
    of_program(cluster, Workload::deployment(cluster.namespace(), W)).forward(false)
}

pub(super) fn of_program(cluster: &Cluster, workload: Workload) -> Workload {
    workload.kubeconfig(cluster.kubeconfig()).deadline(ms(5000))
}

/// A service of this program.
pub(super) fn service(workload: Workload, base_url: &str) -> LocalService {
    let config = LocalServiceConfig::launched_by(workload)
        .ready_timeout(PATIENCE)
        .idle_stop(ms(300));
    Registry::new().service(W, base_url, config).unwrap()
}

/// A cluster with the Deployment `w`, whose pods run the fixture.
pub(super) async fn cluster_of(fixture: &Fixture) -> (Cluster, Kubelet) {
    with_pods(Cluster::new().await, fixture).await
}

/// The same of a cluster that can fail when a test wants it; `None` for a real one.
pub(super) async fn faulty_cluster_of(fixture: &Fixture) -> Option<(Cluster, Kubelet)> {
    Some(with_pods(Cluster::with_faults().await?, fixture).await)
}

async fn with_pods(cluster: Cluster, fixture: &Fixture) -> (Cluster, Kubelet) {
    cluster.workload(DEPLOYMENTS, W).await;
    let kubelet = Kubelet::of(&cluster, DEPLOYMENTS, W, fixture).start();
    (cluster, kubelet)
}

/// A program on a machine of its own, which uses the Deployment `w`.
pub(super) fn program(cluster: &Cluster, fixture: &Fixture, number: usize) -> Program {
    let kubeconfig = cluster.kubeconfig();
    let setup = Setup {
        folder: PathBuf::from(fixture.path(&format!("machine-{number}"))),
        idle_stop: ms(300),
        workload: Some(format!("{}\n{}", kubeconfig.display(), cluster.namespace())),
        ..Setup::of(fixture)
    };
    fs::create_dir(&setup.folder).unwrap();
    fs::set_permissions(&setup.folder, fs::Permissions::from_mode(0o700)).unwrap();
    setup.run()
}

/// What such a program uses.
pub(crate) fn named(workload: &str) -> LocalServiceConfig {
    let (kubeconfig, namespace) = workload.split_once('\n').unwrap();
    let workload = Workload::deployment(namespace, W).kubeconfig(kubeconfig);
    LocalServiceConfig::launched_by(workload.forward(false).deadline(ms(5000)))
}

pub(super) async fn is_at(cluster: &Cluster, replicas: u64) {
    let what = format!("it is scaled to {replicas}");
    becomes(&what, async || {
        cluster.replicas(DEPLOYMENTS, W).await == replicas
    })
    .await;
}

pub(super) async fn leases(cluster: &Cluster) -> usize {
    cluster.list("leases", "").await.len()
}

#[tokio::test]
async fn a_request_scales_a_deployment_from_zero_and_idleness_scales_it_back() {
    let fixture = Fixture::new().with("--loading", 50);
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, W).await;
    let _kubelet = Kubelet::of(&cluster, DEPLOYMENTS, W, &fixture)
        .after(ms(50))
        .start();
    let service = service(workload(&cluster), &fixture.base_url());
    for _ in 0..2 {
        let answered = ask(&service, &fixture.url("/hello")).await.unwrap();
        assert_eq!(answered.1, "hello");
        assert_eq!(service.status().ownership, Some(Ownership::Owned));
        assert_eq!(leases(&cluster).await, 1);
        is_at(&cluster, 0).await;
        becomes("it says that it does not use it", async || {
            leases(&cluster).await == 0
        })
        .await;
    }
}

#[tokio::test]
async fn a_stateful_set_is_scaled_as_well_to_as_many_replicas_as_are_wanted() {
    let fixture = Fixture::new();
    let cluster = Cluster::new().await;
    cluster.workload(STATEFUL_SETS, W).await;
    let _kubelet = Kubelet::of(&cluster, STATEFUL_SETS, W, &fixture).start();
    let workload = Workload::stateful_set(cluster.namespace(), W).replicas(2);
    let workload = of_program(&cluster, workload).forward(false);
    let service = service(workload, &fixture.base_url());
    ask(&service, &fixture.url("/hello")).await.unwrap();
    assert_eq!(cluster.replicas(STATEFUL_SETS, W).await, 2);
    service.stop().await.unwrap();
    assert_eq!(cluster.replicas(STATEFUL_SETS, W).await, 0);
}

/// `KUBERNETES_PROGRAMS` says how many.
#[tokio::test]
async fn many_programs_scale_it_up_once_and_down_once() {
    let fixture = Fixture::new();
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, W).await;
    let _kubelet = Kubelet::of(&cluster, DEPLOYMENTS, W, &fixture)
        .after(ms(100))
        .start();
    let many = std::env::var("KUBERNETES_PROGRAMS").map_or(12, |it| it.parse().unwrap());
    let mut programs: Vec<_> = (0..many)
        .map(|it| program(&cluster, &fixture, it))
        .collect();
    for program in &mut programs {
        program.begin("hold");
    }
    for program in &mut programs {
        assert_eq!(program.answer(), "done");
    }
    assert_eq!(leases(&cluster).await, programs.len());
    let (last, others) = programs.split_last_mut().unwrap();
    for program in others.iter_mut() {
        assert_eq!(program.does("let-go"), "done");
    }
    becomes("the others say that they do not use it", async || {
        leases(&cluster).await == 1
    })
    .await;
    let answered = last.does("ask 1");
    assert_eq!(answered, fixture.starts()[0].to_string());
    assert_eq!(cluster.replicas(DEPLOYMENTS, W).await, 1);
    assert_eq!(last.does("let-go"), "done");
    is_at(&cluster, 0).await;
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_program_that_is_killed_counts_until_its_deadline_and_no_longer() {
    let fixture = Fixture::new();
    let (cluster, _kubelet) = cluster_of(&fixture).await;
    let [mut killed, mut lives] = [0, 1].map(|it| program(&cluster, &fixture, it));
    assert_eq!(killed.does("hold"), "done");
    assert_eq!(lives.does("hold"), "done");
    killed.kill();
    let begun = now();
    assert_eq!(lives.does("let-go"), "done");
    is_at(&cluster, 0).await;
    assert!(since(begun) >= ms(4500), "{:?}", since(begun));
    becomes("the dead one is forgotten", async || {
        leases(&cluster).await == 0
    })
    .await;
}

#[tokio::test]
async fn the_next_program_takes_over_what_a_killed_one_has_scaled_up() {
    let fixture = Fixture::new();
    let (cluster, _kubelet) = cluster_of(&fixture).await;
    let mut killed = program(&cluster, &fixture, 0);
    assert_eq!(killed.does("hold"), "done");
    killed.kill();
    let mut next = program(&cluster, &fixture, 1);
    assert_eq!(next.does("ask 1"), fixture.starts()[0].to_string());
    assert_eq!(next.does("ownership"), "owned");
    is_at(&cluster, 0).await;
}

#[tokio::test]
async fn what_a_person_has_scaled_up_is_used_and_never_scaled_down() {
    let fixture = Fixture::new();
    let (cluster, _kubelet) = cluster_of(&fixture).await;
    cluster.scale(DEPLOYMENTS, W, 2).await;
    becomes("it runs", async || fixture.get("/hello").await.is_ok()).await;
    let service = service(workload(&cluster), &fixture.base_url());
    ask(&service, &fixture.url("/hello")).await.unwrap();
    becomes("it is found as external", async || {
        matches!(
            service.status().ownership,
            Some(Ownership::External { .. }) | None
        )
    })
    .await;
    assert_eq!(leases(&cluster).await, 0);
    tokio::time::sleep(ms(700)).await;
    assert_eq!(cluster.replicas(DEPLOYMENTS, W).await, 2);
}

/// Answers 503 while the server behind it does not listen, as the proxies of a mesh do.
async fn proxy(listener: TcpListener, port: u16) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        connections.spawn(async move {
            let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else {
                let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
                drop(client.read(&mut [0; 4096]).await);
                drop(client.write_all(answer).await);
                return;
            };
            drop(copy_bidirectional(&mut client, &mut server).await);
        });
    }
}

#[tokio::test]
async fn a_proxy_before_a_workload_at_zero_is_no_server() {
    let fixture = Fixture::new().with("--loading", 100);
    let (cluster, _kubelet) = cluster_of(&fixture).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut proxies = JoinSet::new();
    proxies.spawn(proxy(listener, fixture.port()));
    let service = service(workload(&cluster), &format!("{url}/v1"));
    let answered = ask(&service, &format!("{url}/hello")).await.unwrap();
    assert_eq!(answered.1, "hello");
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    is_at(&cluster, 0).await;
}

#[tokio::test]
async fn what_a_person_scales_while_it_is_used_is_left_to_them() {
    let fixture = Fixture::new();
    let (cluster, _kubelet) = cluster_of(&fixture).await;
    let service = service(workload(&cluster), &fixture.base_url());
    let lease = service.acquire().await.unwrap();
    cluster.scale(DEPLOYMENTS, W, 2).await;
    drop(lease);
    becomes("it says that it does not use it", async || {
        leases(&cluster).await == 0
    })
    .await;
    tokio::time::sleep(ms(300)).await;
    assert_eq!(cluster.replicas(DEPLOYMENTS, W).await, 2);
}
