//! What goes wrong in the cluster, and what a user reads of it.

use serde_json::Value;
use tower_local_service::kubernetes::Workload;

use super::{
    api::{DEPLOYMENTS, becomes},
    cluster::Cluster,
    fake::Fault,
    kubelet::{Kubelet, Trouble},
    workload::{W, cluster_of, faulty_cluster_of, is_at, leases, of_program, service, workload},
};
use crate::support::{Fixture, PATIENCE, ask, ms, now, since};

/// What a request fails with.
async fn error(cluster: &Cluster, fixture: &Fixture) -> String {
    let service = service(workload(cluster), &fixture.base_url());
    let begun = now();
    let error = ask(&service, &fixture.url("/hello")).await.unwrap_err();
    assert!(since(begun) < PATIENCE, "{error}");
    error.to_string()
}

#[tokio::test]
async fn a_pod_that_will_not_be_ready_fails_the_start_at_once_with_what_kubernetes_says() {
    let log = "error: no such model\n".to_owned();
    for (trouble, said) in [
        (
            Trouble::ImagePullBackOff,
            vec!["ImagePullBackOff", "no such host"],
        ),
        (
            Trouble::CreateContainerConfigError,
            vec!["CreateContainerConfigError", "hugging-face"],
        ),
        (
            Trouble::CrashLoopBackOff(log),
            vec!["CrashLoopBackOff", "exit code 1", "no such model"],
        ),
        (Trouble::OomKilled, vec!["OOMKilled", "raise its limit"]),
        (
            Trouble::Unschedulable,
            vec!["nvidia.com/gpu", "waitsForNodes"],
        ),
        (Trouble::Quota, vec!["no pod can be created", "quota"]),
    ] {
        let fixture = Fixture::new();
        let cluster = Cluster::new().await;
        cluster.workload(DEPLOYMENTS, W).await;
        let kubelet = Kubelet::of(&cluster, DEPLOYMENTS, W, &fixture).start();
        kubelet.fails(trouble.clone());
        let error = error(&cluster, &fixture).await;
        // A real API server asks a kubelet for it, and there is none.
        let of_log = |it: &&str| *it == "no such model";
        for said in said.iter().filter(|it| !(cluster.is_real() && of_log(it))) {
            assert!(error.contains(said), "{trouble:?}: {error}");
        }
        // Nothing is left that asks for an image, or crashes, for ever.
        is_at(&cluster, 0).await;
        becomes("nothing is left", async || leases(&cluster).await == 0).await;
    }
}

#[tokio::test]
async fn a_pod_without_a_node_is_waited_for_where_the_cluster_adds_nodes() {
    let fixture = Fixture::new();
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, W).await;
    let kubelet = Kubelet::of(&cluster, DEPLOYMENTS, W, &fixture).start();
    kubelet.fails(Trouble::Unschedulable);
    let waits = workload(&cluster).waits_for_nodes(true);
    let service = service(waits, &fixture.base_url());
    let url = fixture.url("/hello");
    let seen = async {
        becomes("no node has room", async || {
            let pods = cluster.list("pods", "app=w").await;
            pods.iter()
                .any(|it| it["status"].to_string().contains("Unschedulable"))
        })
        .await;
        // In which other troubles fail a start.
        tokio::time::sleep(ms(1000)).await;
        assert_eq!(cluster.replicas(DEPLOYMENTS, W).await, 1);
    };
    tokio::select! {
        answered = ask(&service, &url) => panic!("it does not wait: {answered:?}"),
        () = seen => {}
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_with_the_file_that_gives_it() {
    for (verb, resource) in [
        ("get", "deployments"),
        ("patch", "deployments"),
        ("create", "leases"),
    ] {
        let fixture = Fixture::new();
        let cluster = Cluster::new().await;
        cluster.workload(DEPLOYMENTS, W).await;
        cluster.forbid(verb, resource).await;
        let error = error(&cluster, &fixture).await;
        for said in [verb, resource, cluster.namespace(), "rbac.yaml"] {
            assert!(error.contains(said), "{verb} {resource}: {error}");
        }
        assert_eq!(cluster.replicas(DEPLOYMENTS, W).await, 0);
    }
}

#[tokio::test]
async fn a_workload_that_does_not_exist_is_named() {
    let fixture = Fixture::new();
    let cluster = Cluster::new().await;
    let error = error(&cluster, &fixture).await;
    assert!(error.contains("Deployment `w` of namespace"), "{error}");
    assert!(error.contains("create it, or correct"), "{error}");
}

#[tokio::test]
async fn a_workload_that_is_deleted_while_it_is_used_ends_that_and_is_used_again_when_it_is_back() {
    let fixture = Fixture::new();
    let (cluster, _kubelet) = cluster_of(&fixture).await;
    let service = service(workload(&cluster), &fixture.base_url());
    let _lease = service.acquire().await.unwrap();
    for resource in [DEPLOYMENTS, "services"] {
        cluster.delete(resource, W, &Value::Null).await.unwrap();
    }
    becomes("the use has ended", async || leases(&cluster).await == 0).await;
    becomes("its pod has ended", async || {
        fixture.get("/hello").await.is_err()
    })
    .await;
    becomes("a request fails since it is missing", async || {
        let error = ask(&service, &fixture.url("/hello")).await.unwrap_err();
        error.to_string().contains("not found")
    })
    .await;
    cluster.workload(DEPLOYMENTS, W).await;
    becomes("it works again", async || {
        ask(&service, &fixture.url("/hello")).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_kubeconfig_that_leads_nowhere_is_an_error_in_time() {
    let fixture = Fixture::new();
    let cluster = Cluster::new().await;
    let nowhere = Workload::deployment(cluster.namespace(), W).kubeconfig(fixture.path("none"));
    let service = service(nowhere.forward(false), &fixture.base_url());
    let error = ask(&service, &fixture.url("/hello")).await.unwrap_err();
    assert!(error.to_string().contains("KUBECONFIG"), "{error}");
}

#[tokio::test]
async fn a_start_survives_what_an_api_server_does_wrong() {
    let Some(cluster) = Cluster::with_faults().await else {
        return;
    };
    let fixture = Fixture::new();
    cluster.workload(DEPLOYMENTS, W).await;
    let _kubelet = Kubelet::of(&cluster, DEPLOYMENTS, W, &fixture)
        .after(ms(300))
        .start();
    let service = service(workload(&cluster), &fixture.base_url());
    let faults = cluster.faults();
    for (kind, fault) in [
        ("patch deployments", Fault::Status(409)),
        ("patch deployments", Fault::Status(429)),
        ("get deployments", Fault::Status(503)),
        ("create leases", Fault::LoseAnswer),
        ("patch deployments", Fault::LoseAnswer),
        ("list *", Fault::Status(500)),
        ("watch *", Fault::Status(410)),
    ] {
        faults.next(1, kind, fault);
        let answered = ask(&service, &fixture.url("/hello")).await;
        assert_eq!(answered.unwrap().1, "hello", "{kind} {fault:?}");
        is_at(&cluster, 0).await;
        faults.heal();
    }
}

#[tokio::test]
async fn an_api_server_that_hangs_fails_a_request_in_time_and_the_next_one_works() {
    let fixture = Fixture::new();
    let Some((cluster, _kubelet)) = faulty_cluster_of(&fixture).await else {
        return;
    };
    let service = service(workload(&cluster), &fixture.base_url());
    cluster.faults().always("*", Fault::Hang);
    let begun = now();
    let error = ask(&service, &fixture.url("/hello")).await.unwrap_err();
    assert!(error.to_string().contains("API server"), "{error}");
    assert!(since(begun) < ms(60_000), "{:?}", since(begun));
    cluster.faults().heal();
    becomes("it works again", async || {
        ask(&service, &fixture.url("/hello")).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn an_api_server_that_restarts_or_forgets_ends_no_use() {
    let fixture = Fixture::new();
    let Some((cluster, _kubelet)) = faulty_cluster_of(&fixture).await else {
        return;
    };
    let service = service(workload(&cluster), &fixture.base_url());
    let lease = service.acquire().await.unwrap();
    cluster.faults().compact();
    cluster.faults().silence_watches(true);
    cluster.faults().restart(ms(1500)).await;
    tokio::time::sleep(ms(500)).await;
    assert_eq!(cluster.replicas(DEPLOYMENTS, W).await, 1);
    let answered = ask(&service, &fixture.url("/hello")).await;
    assert_eq!(answered.unwrap().1, "hello");
    cluster.faults().heal();
    drop(lease);
    is_at(&cluster, 0).await;
}

#[tokio::test]
async fn outside_of_the_cluster_requests_go_by_port_forwards() {
    let Some(cluster) = Cluster::with_faults().await else {
        return;
    };
    let (fixture, here) = (Fixture::new(), Fixture::new());
    cluster.workload(DEPLOYMENTS, W).await;
    let _kubelet = Kubelet::of(&cluster, DEPLOYMENTS, W, &fixture)
        .after(ms(100))
        .start();
    let forwarded = of_program(&cluster, Workload::deployment(cluster.namespace(), W)).port(8080);
    let service = service(forwarded, &here.base_url());
    for _ in 0..2 {
        let answered = ask(&service, &here.url("/hello")).await.unwrap();
        assert_eq!(answered.1, "hello");
        let url = here.url("/hello");
        let all = (0..20).map(|_| ask(&service, &url));
        for answered in futures_util::future::join_all(all).await {
            assert_eq!(answered.unwrap().1, "hello");
        }
        is_at(&cluster, 0).await;
    }
}
