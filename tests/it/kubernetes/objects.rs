//! The cluster of the tests itself. The same bodies pass on the fake and on a real API server, so what the product does on the
//! one it does on the other.

use serde_json::{Value, json};

use super::{
    api::{DEPLOYMENTS, STATEFUL_SETS, becomes, owners_of_replicas, refusal},
    cluster::Cluster,
};
use crate::support::within;

fn lease(name: &str, holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": name },
        "spec": { "holderIdentity": holder, "leaseDurationSeconds": 60 },
    })
}

fn version(object: &Value) -> String {
    let version = object["metadata"]["resourceVersion"].as_str();
    version.expect("a version").to_owned()
}

#[tokio::test]
async fn of_two_writers_that_have_read_the_same_version_the_second_gets_a_conflict() {
    let cluster = Cluster::new().await;
    let mut first = cluster
        .create("leases", &lease("l", "nobody"))
        .await
        .unwrap();
    let mut second = first.clone();
    first["spec"]["holderIdentity"] = "first".into();
    second["spec"]["holderIdentity"] = "second".into();
    let written = cluster.replace("leases", &first).await.unwrap();
    assert_ne!(version(&written), version(&first));
    let late = refusal(cluster.replace("leases", &second).await);
    assert_eq!(late, (409, "Conflict".to_owned()));
    let held = cluster.get("leases", "l").await;
    assert_eq!(held["spec"]["holderIdentity"], "first");
    assert_eq!(held["metadata"]["uid"], first["metadata"]["uid"]);
}

#[tokio::test]
async fn a_merge_patch_with_the_version_of_before_a_change_gets_a_conflict() {
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, "d").await;
    let read = cluster.get(DEPLOYMENTS, "d").await;
    let joined = json!({ "metadata": { "annotations": { "joined": "a" } } });
    cluster.patch(DEPLOYMENTS, "d", &joined).await.unwrap();
    let scale = |version: String| json!({ "metadata": { "resourceVersion": version }, "spec": { "replicas": 1 } });
    let late = cluster
        .patch(DEPLOYMENTS, "d", &scale(version(&read)))
        .await;
    assert_eq!(refusal(late), (409, "Conflict".to_owned()));
    assert_eq!(cluster.replicas(DEPLOYMENTS, "d").await, 0);
    let now = cluster.get(DEPLOYMENTS, "d").await;
    cluster
        .patch(DEPLOYMENTS, "d", &scale(version(&now)))
        .await
        .unwrap();
    assert_eq!(cluster.replicas(DEPLOYMENTS, "d").await, 1);
    let joined = cluster.annotation(DEPLOYMENTS, "d", "joined").await;
    assert_eq!(joined.as_deref(), Some("a"));
}

#[tokio::test]
async fn a_patch_that_changes_nothing_makes_no_version() {
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, "d").await;
    let patch = json!({ "metadata": { "annotations": { "joined": "a" } } });
    let once = cluster.patch(DEPLOYMENTS, "d", &patch).await.unwrap();
    let again = cluster.patch(DEPLOYMENTS, "d", &patch).await.unwrap();
    assert_eq!(version(&once), version(&again));
    let removed = json!({ "metadata": { "annotations": { "joined": null } } });
    let removed = cluster.patch(DEPLOYMENTS, "d", &removed).await.unwrap();
    assert_ne!(version(&removed), version(&once));
    assert!(
        cluster
            .annotation(DEPLOYMENTS, "d", "joined")
            .await
            .is_none()
    );
}

/// A Deployment counts changes of its annotations as well.
async fn generation_of(resource: &str, after_annotation: u64) {
    let cluster = Cluster::new().await;
    cluster.workload(resource, "d").await;
    let generation = |object: &Value| object["metadata"]["generation"].as_u64().unwrap();
    assert_eq!(generation(&cluster.get(resource, "d").await), 1);
    let patch = json!({ "metadata": { "annotations": { "joined": "a" } } });
    let annotated = cluster.patch(resource, "d", &patch).await.unwrap();
    assert_eq!(generation(&annotated), after_annotation);
    cluster.scale(resource, "d", 2).await;
    let status = json!({ "status": { "replicas": 2, "readyReplicas": 1 } });
    let part = cluster.patch(resource, "d/status", &status).await;
    part.unwrap();
    // By this path the status is not written.
    let status = json!({ "status": { "readyReplicas": 2 } });
    cluster.patch(resource, "d", &status).await.unwrap();
    let object = cluster.get(resource, "d").await;
    assert_eq!(generation(&object), after_annotation + 1);
    assert_eq!(object["status"]["readyReplicas"], 1);
}

#[tokio::test]
async fn the_generation_of_a_deployment_counts_changes_of_its_spec_and_annotations() {
    generation_of(DEPLOYMENTS, 2).await;
}

#[tokio::test]
async fn the_generation_of_a_stateful_set_counts_changes_of_its_spec() {
    generation_of(STATEFUL_SETS, 1).await;
}

#[tokio::test]
async fn who_has_set_the_replicas_last_is_kept() {
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, "d").await;
    let owners = async || owners_of_replicas(&cluster.get(DEPLOYMENTS, "d").await);
    let patch = json!({ "spec": { "replicas": 1 } });
    cluster
        .patch_as("tower-local-service", DEPLOYMENTS, "d", &patch)
        .await
        .unwrap();
    assert_eq!(owners().await, ["tower-local-service"]);
    // The same number by another one takes nothing from it.
    cluster.scale(DEPLOYMENTS, "d", 1).await;
    assert_eq!(owners().await, ["tower-local-service"]);
    cluster.scale(DEPLOYMENTS, "d", 2).await;
    assert_eq!(owners().await, ["kubectl"]);
}

#[tokio::test]
async fn a_lease_is_deleted_only_by_its_version_and_uid_if_these_are_asked_for() {
    let cluster = Cluster::new().await;
    let made = cluster.create("leases", &lease("l", "a")).await.unwrap();
    let patch = json!({ "spec": { "holderIdentity": "b" } });
    let renewed = cluster.patch("leases", "l", &patch).await.unwrap();
    let by_version = |object: &Value| json!({ "resourceVersion": version(object) });
    let late = cluster.delete("leases", "l", &by_version(&made)).await;
    assert_eq!(refusal(late), (409, "Conflict".to_owned()));
    let other = json!({ "uid": "00000000-0000-4000-8000-ffffffffffff" });
    let other = cluster.delete("leases", "l", &other).await;
    assert_eq!(refusal(other), (409, "Conflict".to_owned()));
    cluster
        .delete("leases", "l", &by_version(&renewed))
        .await
        .unwrap();
    let gone = cluster.try_get("leases", "l").await;
    assert_eq!(refusal(gone), (404, "NotFound".to_owned()));
    let again = cluster.delete("leases", "l", &Value::Null).await;
    assert_eq!(refusal(again), (404, "NotFound".to_owned()));
}

#[tokio::test]
async fn a_name_is_taken_once_and_a_prefix_gives_new_names() {
    let cluster = Cluster::new().await;
    cluster.create("leases", &lease("l", "a")).await.unwrap();
    let again = cluster.create("leases", &lease("l", "b")).await;
    assert_eq!(refusal(again), (409, "AlreadyExists".to_owned()));
    let mut named = lease("", "c");
    named["metadata"] = json!({ "generateName": "l-", "labels": { "workload": "w" } });
    for _ in 0..2 {
        cluster.create("leases", &named).await.unwrap();
    }
    assert_eq!(cluster.list("leases", "").await.len(), 3);
    assert_eq!(cluster.list("leases", "workload=w").await.len(), 2);
    assert_eq!(cluster.list("leases", "workload=v").await.len(), 0);
}

#[tokio::test]
async fn a_lease_is_replaced_only_with_a_version_and_made_by_a_replacement() {
    let cluster = Cluster::new().await;
    cluster.replace("leases", &lease("l", "a")).await.unwrap();
    let without = cluster.replace("leases", &lease("l", "b")).await;
    assert_eq!(refusal(without), (422, "Invalid".to_owned()));
    cluster.workload(DEPLOYMENTS, "d").await;
    let mut other = cluster.get(DEPLOYMENTS, "d").await;
    other["metadata"] = json!({ "name": "e" });
    let missing = cluster.replace(DEPLOYMENTS, &other).await;
    assert_eq!(refusal(missing), (404, "NotFound".to_owned()));
}

#[tokio::test]
async fn a_watch_tells_what_has_happened_since_the_version_of_a_list() {
    let cluster = Cluster::new().await;
    cluster
        .create("leases", &lease("before", "a"))
        .await
        .unwrap();
    let list = cluster.try_list("leases", "").await.unwrap();
    cluster.create("leases", &lease("l", "a")).await.unwrap();
    let patch = json!({ "spec": { "holderIdentity": "b" } });
    cluster.patch("leases", "l", &patch).await.unwrap();
    cluster.delete("leases", "l", &Value::Null).await.unwrap();
    let seen = within("the events", cluster.watch("leases", &version(&list), 3)).await;
    let kinds: Vec<_> = seen.iter().map(|it| it.0).collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
    assert!(seen.iter().all(|it| it.1["metadata"]["name"] == "l"));
    assert_eq!(seen[1].1["spec"]["holderIdentity"], "b");
    // From any version, it begins with all objects that exist.
    let seen = within("the events", cluster.watch("leases", "0", 1)).await;
    assert_eq!(
        (seen[0].0, &seen[0].1["metadata"]["name"]),
        ("ADDED", &json!("before"))
    );
}

#[tokio::test]
async fn a_watch_from_a_version_that_is_forgotten_is_expired() {
    let cluster = Cluster::new().await;
    let list = cluster.try_list("events", "").await.unwrap();
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "generateName": "e-" },
        "involvedObject": { "kind": "Pod", "name": "p", "namespace": cluster.namespace() },
    });
    for _ in 0..3 {
        cluster.create("events", &event).await.unwrap();
    }
    if !cluster.is_real() {
        cluster.faults().compact();
    }
    // A real one forgets after some seconds, and tells the events until then.
    let from = version(&list);
    let mut status = Value::Null;
    let is_expired = async || {
        let watch = cluster.watch("events", &from, 1);
        let seen = within("the first event", watch).await;
        status = seen[0].1.clone();
        seen[0].0 == "ERROR"
    };
    becomes("it is forgotten", is_expired).await;
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(410), &json!("Expired"))
    );
}

#[tokio::test]
async fn what_the_program_has_no_right_to_is_forbidden_with_the_right_that_it_lacks() {
    let cluster = Cluster::new().await;
    cluster.workload(DEPLOYMENTS, "d").await;
    let program = cluster.as_program().await;
    assert_eq!(program.replicas(DEPLOYMENTS, "d").await, 0);
    cluster.forbid("patch", DEPLOYMENTS).await;
    let patch = json!({ "spec": { "replicas": 1 } });
    let refused = program.patch(DEPLOYMENTS, "d", &patch).await;
    let message = format!(
        "deployments.apps \"d\" is forbidden: User \"program\" cannot patch resource \"deployments\" in API group \"apps\" in \
         the namespace \"{}\"",
        cluster.namespace()
    );
    let error = refused.as_ref().unwrap_err().to_string();
    assert!(error.contains(&message), "{error}");
    assert_eq!(refusal(refused), (403, "Forbidden".to_owned()));
    assert_eq!(program.replicas(DEPLOYMENTS, "d").await, 0);
}
