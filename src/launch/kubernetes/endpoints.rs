//! The pods that are ready behind a Service.

use std::collections::BTreeMap;

use k8s_openapi::api::{
    core::v1::{Endpoints, ObjectReference},
    discovery::v1::EndpointSlice,
};
use kube::{Api, Client, core::Status};
use tokio::sync::watch;

use super::follow::{Selector, follow};

/// The names of pods, in order.
pub(super) type Ready = Vec<String>;

/// Tells which pods are ready behind the Service. Resolves when that may not be watched.
pub(super) async fn follow_ready(
    client: Client,
    namespace: &str,
    service: &str,
    ready: watch::Sender<Option<Ready>>,
) -> Box<Status> {
    let slices = Selector {
        labels: Some(format!("kubernetes.io/service-name={service}")),
        fields: None,
    };
    let api: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let status = follow(api, slices, |all| say(&ready, in_slices(all))).await;
    if status.code != 404 {
        return status;
    }
    // Kubernetes has slices in this version since 1.21.
    let endpoints = Selector {
        labels: None,
        fields: Some(format!("metadata.name={service}")),
    };
    let api: Api<Endpoints> = Api::namespaced(client, namespace);
    follow(api, endpoints, |all| say(&ready, in_endpoints(all))).await
}

fn say(ready: &watch::Sender<Option<Ready>>, mut now: Ready) {
    now.sort();
    now.dedup();
    ready.send_if_modified(|was| {
        let is_news = was.as_ref() != Some(&now);
        *was = Some(now);
        is_news
    });
}

fn in_slices(slices: &BTreeMap<String, EndpointSlice>) -> Ready {
    let endpoints = slices.values().flat_map(|it| it.endpoints.iter().flatten());
    // It counts as ready where nothing is said.
    let ready = endpoints.filter(|it| {
        let conditions = it.conditions.as_ref();
        conditions.and_then(|it| it.ready).unwrap_or(true)
    });
    ready
        .filter_map(|it| pod(it.target_ref.as_ref()?))
        .collect()
}

fn in_endpoints(all: &BTreeMap<String, Endpoints>) -> Ready {
    let subsets = all.values().flat_map(|it| it.subsets.iter().flatten());
    let ready = subsets.flat_map(|it| it.addresses.iter().flatten());
    ready
        .filter_map(|it| pod(it.target_ref.as_ref()?))
        .collect()
}

fn pod(target: &ObjectReference) -> Option<String> {
    let is_pod = target.kind.as_deref() == Some("Pod");
    target.name.clone().filter(|_| is_pod)
}
