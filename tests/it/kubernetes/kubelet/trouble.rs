//! Why a pod does not become ready, as Kubernetes says it.

use serde_json::{Value, json};

#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    ImagePullBackOff,
    /// A Secret that its container needs is not there.
    CreateContainerConfigError,
    /// Its server exits again and again, with these last lines.
    CrashLoopBackOff(String),
    OomKilled,
    /// No node has room for it.
    Unschedulable,
    /// No pod may be made.
    Quota,
}

impl Trouble {
    /// The status of a pod with this trouble.
    pub(super) fn status(&self) -> Value {
        let image = "tests/fixture:1";
        let waiting = |reason: &str, message: &str| json!({ "waiting": { "reason": reason, "message": message } });
        let terminated = |code: u8, reason: &str| json!({ "terminated": { "exitCode": code, "reason": reason } });
        let back_off = waiting(
            "CrashLoopBackOff",
            "back-off 10s restarting failed container=server",
        );
        let (state, last, restarts) = match self {
            Self::ImagePullBackOff => {
                let message = format!("Back-off pulling image \"{image}\": no such host");
                (waiting("ImagePullBackOff", &message), json!({}), 0)
            }
            Self::CreateContainerConfigError => {
                let state = waiting(
                    "CreateContainerConfigError",
                    "secret \"hugging-face\" not found",
                );
                (state, json!({}), 0)
            }
            Self::CrashLoopBackOff(_) => (back_off, terminated(1, "Error"), 2),
            Self::OomKilled => (back_off, terminated(137, "OOMKilled"), 2),
            Self::Unschedulable | Self::Quota => {
                let message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.";
                let condition = json!({
                    "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
                });
                return json!({ "phase": "Pending", "conditions": [condition] });
            }
        };
        let container = json!({
            "name": "server", "image": image, "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last,
        });
        let phase = if restarts == 0 { "Pending" } else { "Running" };
        json!({
            "phase": phase, "containerStatuses": [container],
            "conditions": [
                { "type": "PodScheduled", "status": "True" },
                { "type": "Ready", "status": "False", "reason": "ContainersNotReady" },
            ],
        })
    }
}

const EXCEEDED: &str = "exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=4, \
                        limited: requests.nvidia.com/gpu=4";

/// What a Deployment says when its pods may not be made.
pub(super) fn replica_failure(name: &str) -> Value {
    json!({
        "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": format!("pods \"{name}-7d9c5b8f6d-00001\" is forbidden: {EXCEEDED}"),
    })
}

/// A `StatefulSet` says it by an event only.
pub(super) fn failed_create(name: &str, object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "apiVersion": "v1", "kind": "Event", "type": "Warning", "reason": "FailedCreate",
        "metadata": { "generateName": format!("{name}.") },
        "involvedObject": {
            "kind": object["kind"], "apiVersion": "apps/v1", "name": name,
            "namespace": metadata["namespace"], "uid": metadata["uid"],
        },
        "message": format!("create Pod {name}-0 in StatefulSet {name} failed error: pods \"{name}-0\" is forbidden: {EXCEEDED}"),
    })
}
