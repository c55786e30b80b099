//! What a test can make go wrong with the fake, and that it then does.

use kube::Error;
use serde_json::{Value, json};

use super::{
    api::{Api, DEPLOYMENTS, becomes, owners_of_replicas, refusal},
    cluster::Cluster,
    fake::Fault,
};
use crate::support::{ms, now, since, within};

/// A cluster with a Deployment `d`, and the API as the program uses it, with all rights.
async fn cluster() -> Option<(Cluster, Api)> {
    let cluster = Cluster::with_faults().await?;
    cluster.workload(DEPLOYMENTS, "d").await;
    cluster.faults().give(None);
    let program = cluster.as_program().await;
    Some((cluster, program))
}

async fn scale(api: &Api, replicas: u64) -> Result<Value, Error> {
    let patch = json!({ "spec": { "replicas": replicas } });
    api.patch(DEPLOYMENTS, "d", &patch).await
}

#[tokio::test]
async fn the_next_calls_of_a_kind_are_refused_and_all_calls_are_counted() {
    let Some((cluster, program)) = cluster().await else {
        return;
    };
    let faults = cluster.faults();
    for (code, reason) in [
        (403, "Forbidden"),
        (409, "Conflict"),
        (422, "Invalid"),
        (429, "TooManyRequests"),
        (500, "InternalError"),
    ] {
        faults.next(1, "patch deployments", Fault::Status(code));
        let refused = scale(&program, 1).await;
        assert_eq!(refusal(refused), (code, reason.to_owned()));
        assert_eq!(program.replicas(DEPLOYMENTS, "d").await, 0);
    }
    scale(&program, 1).await.unwrap();
    assert_eq!(cluster.replicas(DEPLOYMENTS, "d").await, 1);
    faults.always("list *", Fault::Status(500));
    for _ in 0..2 {
        let refused = program.try_list("pods", "").await;
        assert_eq!(refusal(refused).0, 500);
    }
    faults.heal();
    assert!(program.list("pods", "").await.is_empty());
    assert_eq!(faults.count("patch deployments"), 6);
    assert_eq!(faults.count("get *"), 5);
    assert_eq!(faults.count("*"), 14);
    assert_eq!(faults.calls()[0], "patch deployments d");
    faults.forget_calls();
    assert_eq!(faults.count("*"), 0);
}

#[tokio::test]
async fn a_call_that_hangs_is_never_executed_and_one_that_is_held_is_so_at_last() {
    let Some((cluster, program)) = cluster().await else {
        return;
    };
    cluster.faults().next(1, "patch deployments", Fault::Hang);
    let hangs = tokio::time::timeout(ms(100), scale(&program, 7)).await;
    assert!(hangs.is_err());
    cluster.faults().next(1, "patch deployments", Fault::Hold);
    // Its client goes before it is executed.
    let held = tokio::time::timeout(ms(100), scale(&program, 2)).await;
    assert!(held.is_err());
    assert_eq!(program.replicas(DEPLOYMENTS, "d").await, 0);
    cluster.faults().heal();
    becomes("the one that was held is executed", async || {
        program.replicas(DEPLOYMENTS, "d").await == 2
    })
    .await;
    cluster
        .faults()
        .next(1, "get deployments", Fault::Delay(ms(200)));
    let begun = now();
    assert_eq!(program.replicas(DEPLOYMENTS, "d").await, 2);
    assert!(since(begun) >= ms(200));
}

#[tokio::test]
async fn an_answer_that_is_lost_was_given_after_the_change() {
    let Some((cluster, program)) = cluster().await else {
        return;
    };
    cluster
        .faults()
        .next(1, "patch deployments", Fault::LoseAnswer);
    let lost = within("the end", scale(&program, 1)).await.unwrap_err();
    assert!(!matches!(lost, Error::Api(_)), "{lost}");
    assert_eq!(program.replicas(DEPLOYMENTS, "d").await, 1);
}

#[tokio::test]
async fn a_restart_cuts_connections_and_keeps_the_objects() {
    let Some((cluster, program)) = cluster().await else {
        return;
    };
    scale(&program, 1).await.unwrap();
    let list = program.try_list(DEPLOYMENTS, "").await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let restart = async {
        becomes("it is watched", async || {
            cluster.faults().count("watch *") == 1
        })
        .await;
        cluster.faults().restart(ms(300)).await;
    };
    let watch = program.watch(DEPLOYMENTS, version, 1);
    let (seen, ()) = within("the end", async { tokio::join!(watch, restart) }).await;
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(program.replicas(DEPLOYMENTS, "d").await, 1);
    // A watch begins where that one was.
    scale(&program, 2).await.unwrap();
    let seen = within("the change", program.watch(DEPLOYMENTS, version, 1)).await;
    assert_eq!(seen[0].1["spec"]["replicas"], 2);
}

#[tokio::test]
async fn a_watch_that_is_silent_tells_later_what_it_has_missed() {
    let Some((cluster, program)) = cluster().await else {
        return;
    };
    let list = program.try_list(DEPLOYMENTS, "").await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    cluster.faults().silence_watches(true);
    scale(&program, 1).await.unwrap();
    let watch = program.watch(DEPLOYMENTS, version, 1);
    let silent = tokio::time::timeout(ms(300), watch).await;
    assert!(silent.is_err());
    let (seen, ()) = tokio::join!(
        within("the change", program.watch(DEPLOYMENTS, version, 1)),
        async {
            becomes("it is watched", async || {
                cluster.faults().count("watch *") == 2
            })
            .await;
            cluster.faults().silence_watches(false);
        }
    );
    assert_eq!(seen[0].1["spec"]["replicas"], 1);
}

#[tokio::test]
async fn a_watch_that_runs_ends_when_its_history_is_forgotten() {
    let Some((cluster, program)) = cluster().await else {
        return;
    };
    let list = program.try_list(DEPLOYMENTS, "").await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    cluster.faults().silence_watches(true);
    let (seen, ()) = tokio::join!(
        within("the end", program.watch(DEPLOYMENTS, version, 1)),
        async {
            becomes("it is watched", async || {
                cluster.faults().count("watch *") == 1
            })
            .await;
            scale(&program, 1).await.unwrap();
            cluster.faults().compact();
            cluster.faults().silence_watches(false);
        }
    );
    assert_eq!((seen[0].0, &seen[0].1["code"]), ("ERROR", &json!(410)));
}

#[tokio::test]
async fn a_bookmark_tells_the_version_though_nothing_that_is_watched_changes() {
    let Some((_cluster, program)) = cluster().await else {
        return;
    };
    let list = program.try_list("leases", "").await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let changed = scale(&program, 1).await.unwrap();
    let seen = within("it", program.watch_with(true, "leases", version, 1)).await;
    let told = &seen[0].1["metadata"]["resourceVersion"];
    assert_eq!(
        (seen[0].0, told),
        ("BOOKMARK", &changed["metadata"]["resourceVersion"])
    );
}

#[tokio::test]
async fn an_autoscaler_becomes_the_owner_of_the_replicas_as_since_kubernetes_1_22() {
    let Some((cluster, program)) = cluster().await else {
        return;
    };
    let patch = json!({ "spec": { "replicas": 1 } });
    let scaled = program
        .patch_as("tower-local-service", DEPLOYMENTS, "d", &patch)
        .await;
    assert_eq!(
        owners_of_replicas(&scaled.unwrap()),
        ["tower-local-service"]
    );
    let patch = json!({ "spec": { "replicas": 3 } });
    let autoscaler = "horizontal-pod-autoscaler";
    let scale = cluster
        .patch_as(autoscaler, DEPLOYMENTS, "d/scale", &patch)
        .await;
    assert_eq!(scale.unwrap()["spec"]["replicas"], 3);
    let object = cluster.get(DEPLOYMENTS, "d").await;
    assert_eq!(owners_of_replicas(&object), [autoscaler]);
    assert_eq!(object["spec"]["replicas"], 3);
}

#[tokio::test]
async fn an_older_server_has_not_all_kinds() {
    let Some((cluster, program)) = cluster().await else {
        return;
    };
    assert!(program.list("endpointslices", "").await.is_empty());
    cluster.faults().without("endpointslices");
    let refused = program.try_list("endpointslices", "").await;
    assert_eq!(refusal(refused).0, 404);
}

#[tokio::test]
async fn without_a_token_nothing_is_answered() {
    let Some((cluster, _)) = cluster().await else {
        return;
    };
    let url: http::Uri = cluster.faults().url().parse().unwrap();
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let answer = crate::support::get(url.port_u16().unwrap(), path)
        .await
        .unwrap();
    assert_eq!(answer.status, 401);
}
