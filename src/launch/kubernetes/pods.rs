//! Why pods do not become ready.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::DynamicObject;
use serde_json::Value;

/// A container waits for one of these for ever, or for a person.
const REASONS: [&str; 8] = [
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// What keeps a pod from being ready, and does not end by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) what: String,
    /// The pod and the container whose log may tell more, and whether that is the log of one that has ended.
    pub(super) log: Option<(String, String, bool)>,
}

/// The first pod that has one.
pub(super) fn trouble_of<'a>(
    pods: impl IntoIterator<Item = &'a Pod>,
    waits_for_nodes: bool,
) -> Option<Trouble> {
    // One that is being deleted has had its time.
    let pods = pods.into_iter();
    let mut live = pods.filter(|it| it.metadata.deletion_timestamp.is_none());
    live.find_map(|pod| trouble(pod, waits_for_nodes))
}

fn trouble(pod: &Pod, waits_for_nodes: bool) -> Option<Trouble> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let status = pod.status.as_ref()?;
    if !waits_for_nodes && let Some(message) = unscheduled(pod) {
        return Some(Trouble {
            what: format!(
                "pod {name} cannot be scheduled: {message}; add a node that has room, ask for less, or say that the \
                 cluster adds nodes (`waitsForNodes`)"
            ),
            log: None,
        });
    }
    let init = status.init_container_statuses.iter().flatten();
    let mut all = init.chain(status.container_statuses.iter().flatten());
    all.find_map(|it| of_container(&name, it))
}

fn unscheduled(pod: &Pod) -> Option<String> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|it| {
        it.type_ == "PodScheduled"
            && it.status == "False"
            && it.reason.as_deref() == Some("Unschedulable")
    })?;
    Some(found.message.clone().unwrap_or_default())
}

fn of_container(pod: &str, container: &ContainerStatus) -> Option<Trouble> {
    let state = container.state.as_ref()?;
    let waiting = state.waiting.as_ref();
    let reason = waiting.and_then(|it| it.reason.as_deref());
    let last = container.last_state.as_ref();
    let ended = state.terminated.as_ref();
    let ended = ended.or_else(|| last?.terminated.as_ref());
    let ran_out = ended.filter(|it| it.reason.as_deref() == Some("OOMKilled"));
    if ran_out.is_none() && !reason.is_some_and(|it| REASONS.contains(&it)) {
        return None;
    }
    let name = &container.name;
    let memory = if ran_out.is_some() {
        " was killed: it ran out of memory that it may use (OOMKilled); raise its limit"
    } else {
        ""
    };
    let waits = reason.map(|reason| {
        let message = waiting.and_then(|it| it.message.as_deref());
        format!(": {reason}: {}", message.unwrap_or_default())
    });
    let code = ended.map(|it| format!(" (exit code {})", it.exit_code));
    let [waits, code] = [waits, code].map(Option::unwrap_or_default);
    let what = format!("container {name} of pod {pod}{memory}{waits}{code}");
    let log = ended.map(|_| (pod.to_owned(), name.clone(), state.running.is_none()));
    Some(Trouble { what, log })
}

/// Why the controller of the workload cannot create pods: most often a quota.
pub(super) fn without_pods(workload: &DynamicObject) -> Option<Trouble> {
    let conditions = workload.data.pointer("/status/conditions")?.as_array()?;
    let is =
        |it: &Value, key: &str, value: &str| it.get(key).and_then(Value::as_str) == Some(value);
    let failure = |it: &&Value| is(it, "type", "ReplicaFailure") && is(it, "status", "True");
    let found = conditions.iter().find(failure)?;
    let message = found.get("message").and_then(Value::as_str);
    Some(Trouble {
        what: format!("no pod can be created: {}", message.unwrap_or_default()),
        log: None,
    })
}

/// The label selector of its pods, as a query has it.
pub(super) fn selector(workload: &DynamicObject) -> Option<String> {
    let selector = workload.data.pointer("/spec/selector")?;
    let labels = selector.get("matchLabels").and_then(Value::as_object);
    let labels = labels.into_iter().flatten();
    let mut parts: Vec<_> = labels
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    let expressions = selector.get("matchExpressions").and_then(Value::as_array);
    for it in expressions.into_iter().flatten() {
        let key = it.get("key")?.as_str()?;
        let values = it.get("values").and_then(Value::as_array);
        let values = values.into_iter().flatten().filter_map(Value::as_str);
        let values = values.collect::<Vec<_>>().join(",");
        parts.push(match it.get("operator")?.as_str()? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}
