//! A workload of a Kubernetes cluster, as files have it.

use serde::Deserialize;

use super::{Given, Millis};
use crate::config::kubernetes::Workload;

#[derive(Deserialize, Default)]
#[serde(
    default,
    rename_all = "camelCase",
    deny_unknown_fields,
    expecting = "a workload of Kubernetes"
)]
#[cfg_attr(
    test,
    derive(schemars::JsonSchema),
    schemars(
        rename = "Workload",
        extend(
            "required" = ["namespace"],
            "oneOf" = [{ "required": ["deployment"] }, { "required": ["statefulSet"] }]
        )
    )
)]
pub(super) struct WrittenWorkload {
    /// Its namespace.
    namespace: Given<String>,
    /// The name of a Deployment. It, or a `statefulSet`.
    deployment: Given<String>,
    /// The name of a `StatefulSet`. It, or a `deployment`.
    stateful_set: Given<String>,
    /// To how many replicas it is scaled. 1 if left out.
    #[cfg_attr(test, schemars(range(min = 1)))]
    replicas: Given<u16>,
    /// The Service whose endpoints say that it is ready. That of the workload's name if left out.
    service: Given<String>,
    /// The port on which its pods listen, for the port-forward. That of `baseUrl` if left out.
    #[cfg_attr(test, schemars(range(min = 1)))]
    port: Given<u16>,
    /// Whether requests go through a port-forward, which listens at `baseUrl`. If left out, they do where that is on this
    /// machine.
    forward: Given<bool>,
    /// For how long a program that died counts as one that uses it, in milliseconds. 60000 if left out.
    #[cfg_attr(test, schemars(range(min = 5000)))]
    deadline_ms: Given<Millis>,
    /// Whether a pod for which there is no node is waited for, up to `readyTimeoutMs`, as where nodes are added on demand.
    /// Otherwise it fails the start.
    waits_for_nodes: Given<bool>,
    /// The context of the kubeconfig. The current one if left out, or the service account of the pod.
    context: Given<String>,
}

impl From<WrittenWorkload> for Workload {
    fn from(written: WrittenWorkload) -> Self {
        Self {
            namespace: written.namespace.0,
            deployment: written.deployment.0,
            stateful_set: written.stateful_set.0,
            replicas: written.replicas.0,
            service: written.service.0,
            port: written.port.0,
            forward: written.forward.0,
            deadline: written.deadline_ms.0.map(|it| it.0),
            waits_for_nodes: written.waits_for_nodes.0,
            context: written.context.0,
        }
    }
}
