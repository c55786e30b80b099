//! The player of the kubelet, and port-forwards to its pods.

use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    coordination::v1::Lease,
    core::v1::Pod,
    discovery::v1::EndpointSlice,
};
use kube::api::ListParams;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    api::{DEPLOYMENTS, STATEFUL_SETS, becomes, refusal},
    cluster::Cluster,
    kubelet::{Kubelet, Trouble},
};
use crate::support::{Fixture, ms, within};

/// The names of the pods to which endpoints send requests, by the older kind that all servers have.
async fn ready(cluster: &Cluster, service: &str) -> Vec<String> {
    let Ok(endpoints) = cluster.try_get("endpoints", service).await else {
        return Vec::new();
    };
    let subsets = endpoints["subsets"].as_array().cloned().unwrap_or_default();
    let addresses = subsets.iter().filter_map(|it| it["addresses"].as_array());
    let names = addresses
        .flatten()
        .map(|it| it["targetRef"]["name"].as_str().unwrap().to_owned());
    names.collect()
}

async fn follows_its_replicas(resource: &str) {
    let fixture = Fixture::new().notes_signals();
    let cluster = Cluster::new().await;
    cluster.workload(resource, "w").await;
    let _kubelet = Kubelet::of(&cluster, resource, "w", &fixture)
        .after(ms(50))
        .start();
    cluster.scale(resource, "w", 2).await;
    becomes("two are ready", async || {
        ready(&cluster, "w").await.len() == 2
    })
    .await;
    assert_eq!(fixture.get("/hello").await.unwrap().status, 200);
    assert_eq!(fixture.starts().len(), 2);
    assert_eq!(cluster.list("pods", "app=w").await.len(), 2);
    let is_ready =
        async |count: u64| cluster.get(resource, "w").await["status"]["readyReplicas"] == count;
    becomes("its status says so", async || is_ready(2).await).await;
    cluster.scale(resource, "w", 1).await;
    becomes("one is left", async || {
        cluster.list("pods", "app=w").await.len() == 1
    })
    .await;
    assert_eq!(ready(&cluster, "w").await.len(), 1);
    // The one that was made first stays.
    assert_eq!(fixture.get("/hello").await.unwrap().status, 200);
    cluster.scale(resource, "w", 0).await;
    becomes("none is left", async || {
        cluster.list("pods", "app=w").await.is_empty()
    })
    .await;
    assert!(ready(&cluster, "w").await.is_empty());
    fixture.is_gone().await;
    assert_eq!(fixture.terms().len(), 2, "each was asked to end");
}

#[tokio::test]
async fn pods_of_a_deployment_follow_its_replicas() {
    follows_its_replicas(DEPLOYMENTS).await;
}

#[tokio::test]
async fn pods_of_a_stateful_set_follow_its_replicas() {
    follows_its_replicas(STATEFUL_SETS).await;
}

#[tokio::test]
async fn a_watch_of_the_slices_of_a_service_tells_when_an_endpoint_is_ready() {
    let fixture = Fixture::new().with("--loading", 300);
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, "w").await;
    let _kubelet = Kubelet::of(&cluster, DEPLOYMENTS, "w", &fixture).start();
    let program = cluster.as_program().await;
    let of_service = "kubernetes.io/service-name=w";
    let list = program
        .try_list("endpointslices", of_service)
        .await
        .unwrap();
    assert_eq!(list["items"], json!([]));
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    cluster.scale(DEPLOYMENTS, "w", 1).await;
    let seen = within("two events", program.watch("endpointslices", version, 2)).await;
    let endpoint = |at: usize| seen[at].1["endpoints"][0].clone();
    assert_eq!(
        (seen[0].0, &endpoint(0)["conditions"]["ready"]),
        ("ADDED", &json!(false))
    );
    assert_eq!(
        (seen[1].0, &endpoint(1)["conditions"]["ready"]),
        ("MODIFIED", &json!(true))
    );
    let pods = program.list("pods", "app=w").await;
    assert_eq!(
        endpoint(1)["targetRef"]["name"],
        pods[0]["metadata"]["name"]
    );
    assert_eq!(seen[1].1["apiVersion"], "discovery.k8s.io/v1");
    assert_eq!(program.list("endpointslices", of_service).await.len(), 1);
}

#[tokio::test]
async fn the_types_of_the_crate_kube_read_what_is_in_the_cluster() {
    let fixture = Fixture::new();
    let cluster = Cluster::new().await;
    for resource in [DEPLOYMENTS, STATEFUL_SETS] {
        cluster.workload(resource, resource).await;
    }
    let kubelet = Kubelet::of(&cluster, DEPLOYMENTS, DEPLOYMENTS, &fixture).start();
    cluster.scale(DEPLOYMENTS, DEPLOYMENTS, 1).await;
    becomes("it is ready", async || {
        ready(&cluster, DEPLOYMENTS).await.len() == 1
    })
    .await;
    kubelet.fails(Trouble::OomKilled);
    cluster.scale(DEPLOYMENTS, DEPLOYMENTS, 2).await;
    becomes("both are there", async || {
        cluster.list("pods", "").await.len() == 2
    })
    .await;
    let lease = json!({
        "metadata": { "name": "l" },
        "spec": { "leaseDurationSeconds": 60, "renewTime": "2026-01-01T00:00:00.000000Z" },
    });
    cluster.create("leases", &lease).await.unwrap();
    let program = cluster.as_program().await;
    let list = ListParams::default();
    let deployment = program
        .typed::<Deployment>()
        .get(DEPLOYMENTS)
        .await
        .unwrap();
    assert_eq!(deployment.spec.replicas, Some(2));
    let set = program
        .typed::<StatefulSet>()
        .get(STATEFUL_SETS)
        .await
        .unwrap();
    assert_eq!(set.spec.replicas, Some(0));
    let leases = program.typed::<Lease>().list(&list).await.unwrap();
    assert!(leases.items[0].spec.as_ref().unwrap().renew_time.is_some());
    let slices = program.typed::<EndpointSlice>().list(&list).await.unwrap();
    assert_eq!(slices.items[0].endpoints.as_ref().map(Vec::len), Some(1));
    let pods = program.typed::<Pod>().list(&list).await.unwrap();
    assert!(pods.items.iter().all(|pod| pod.status.is_some()));
}

#[tokio::test]
async fn a_server_that_crashes_is_restarted_and_its_log_is_kept() {
    let line = "no such model";
    let fixture = Fixture::new()
        .with("--print-line", line)
        .with("--exit-after-ready", 300);
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, "w").await;
    let _kubelet = Kubelet::of(&cluster, DEPLOYMENTS, "w", &fixture).start();
    cluster.scale(DEPLOYMENTS, "w", 1).await;
    let restarts = async || {
        let pods = cluster.list("pods", "app=w").await;
        let container = pods
            .first()
            .map(|it| it["status"]["containerStatuses"][0].clone());
        container.unwrap_or_default()
    };
    becomes("it crashes twice", async || {
        restarts().await["restartCount"].as_u64() >= Some(2)
    })
    .await;
    let pods = cluster.list("pods", "app=w").await;
    assert_eq!(pods.len(), 1, "the pod stays");
    if !cluster.is_real() {
        let log = cluster
            .log(pods[0]["metadata"]["name"].as_str().unwrap())
            .await;
        assert!(log.contains(line), "{log}");
    }
}

#[tokio::test]
async fn a_pod_says_what_its_trouble_is_and_has_no_endpoint() {
    let fixture = Fixture::new();
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, "w").await;
    let kubelet = Kubelet::of(&cluster, DEPLOYMENTS, "w", &fixture).start();
    let troubles = [
        (Trouble::ImagePullBackOff, "ImagePullBackOff"),
        (
            Trouble::CreateContainerConfigError,
            "CreateContainerConfigError",
        ),
        (
            Trouble::CrashLoopBackOff("bad flag".to_owned()),
            "CrashLoopBackOff",
        ),
        (Trouble::OomKilled, "OOMKilled"),
        (Trouble::Unschedulable, "Unschedulable"),
    ];
    for (trouble, reason) in troubles {
        kubelet.fails(trouble);
        cluster.scale(DEPLOYMENTS, "w", 1).await;
        let says = async || {
            let pods = cluster.list("pods", "app=w").await;
            pods.iter()
                .any(|it| it["status"].to_string().contains(reason))
        };
        becomes(reason, says).await;
        assert!(ready(&cluster, "w").await.is_empty());
        cluster.scale(DEPLOYMENTS, "w", 0).await;
        becomes("it is gone", async || {
            cluster.list("pods", "app=w").await.is_empty()
        })
        .await;
    }
    kubelet.fails(Trouble::Quota);
    cluster.scale(DEPLOYMENTS, "w", 1).await;
    let condition = async || cluster.get(DEPLOYMENTS, "w").await["status"]["conditions"][0].clone();
    becomes("the quota is said", async || {
        condition().await["type"] == "ReplicaFailure"
    })
    .await;
    assert!(cluster.list("pods", "app=w").await.is_empty());
    kubelet.works();
    becomes("it is ready", async || {
        ready(&cluster, "w").await.len() == 1
    })
    .await;
    becomes("the quota is not said any more", async || {
        condition().await.is_null()
    })
    .await;
}

#[tokio::test]
async fn a_stateful_set_says_by_an_event_that_its_pods_may_not_be_made() {
    let fixture = Fixture::new();
    let cluster = Cluster::new().await;
    cluster.workload(STATEFUL_SETS, "w").await;
    let kubelet = Kubelet::of(&cluster, STATEFUL_SETS, "w", &fixture).start();
    kubelet.fails(Trouble::Quota);
    cluster.scale(STATEFUL_SETS, "w", 1).await;
    let is_said = async || {
        let events = cluster.list("events", "").await;
        events
            .iter()
            .any(|it| it["reason"] == "FailedCreate" && it["involvedObject"]["name"] == "w")
    };
    becomes("the quota is said", is_said).await;
}

#[tokio::test]
async fn a_port_forward_reaches_the_server_of_a_pod_and_ends_with_it() {
    let Some(cluster) = Cluster::with_faults().await else {
        return;
    };
    let fixture = Fixture::new();
    cluster.workload(DEPLOYMENTS, "w").await;
    let _kubelet = Kubelet::of(&cluster, DEPLOYMENTS, "w", &fixture).start();
    cluster.scale(DEPLOYMENTS, "w", 1).await;
    becomes("it is ready", async || {
        ready(&cluster, "w").await.len() == 1
    })
    .await;
    let pod = ready(&cluster, "w").await.remove(0);
    let api = cluster.as_program().await.typed::<Pod>();
    let mut forward = within("the forward", api.portforward(&pod, &[8080]))
        .await
        .unwrap();
    let mut stream = forward.take_stream(8080).unwrap();
    says_hello(&mut stream).await;
    cluster.faults().cut().await;
    let mut bytes = [0; 1024];
    let end = within("the cut", stream.read(&mut bytes)).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    let mut forward = within("the forward", api.portforward(&pod, &[8080]))
        .await
        .unwrap();
    let mut stream = forward.take_stream(8080).unwrap();
    says_hello(&mut stream).await;
    assert_eq!(cluster.faults().count("* pods/portforward"), 2);
    cluster.scale(DEPLOYMENTS, "w", 0).await;
    let end = within("the end", stream.read(&mut bytes)).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    becomes("it is gone", async || {
        cluster.list("pods", "app=w").await.is_empty()
    })
    .await;
    let gone = within("the refusal", api.portforward(&pod, &[8080])).await;
    assert_eq!(refusal(gone), (404, "NotFound".to_owned()));
}

async fn says_hello(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let request = "GET /hello HTTP/1.1\r\nhost: w\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let mut bytes = [0; 1024];
    while !answer.ends_with("hello") {
        let read = within("the answer", stream.read(&mut bytes)).await.unwrap();
        assert!(read > 0, "it ends after {answer}");
        answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
