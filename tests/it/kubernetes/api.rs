//! The API of a cluster as the test and the player of the kubelet use it: objects of one namespace, in JSON.

use std::path::Path;

use futures_util::TryStreamExt as _;
use http::{Method, Request};
use k8s_openapi::{NamespaceResourceScope, api::core::v1::Pod};
use kube::{
    Client, Config, Error,
    api::LogParams,
    config::{KubeConfigOptions, Kubeconfig},
    core::WatchEvent,
};
use serde_json::{Value, json};

use super::newer;
use crate::support::{ms, within};

pub(crate) const DEPLOYMENTS: &str = "deployments";
pub(crate) const STATEFUL_SETS: &str = "statefulsets";

/// What has happened to an object, as a watch tells it: `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`, and the object
/// or the status.
pub(crate) type Event = (&'static str, Value);

/// All rights in one namespace.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    namespace: String,
    /// The API of `EndpointSlice` that the server has.
    discovery: &'static str,
}

impl Api {
    /// As the user of a context. Only for the runtime in which it is made.
    pub(super) async fn new(kubeconfig: &Path, context: &str, namespace: &str) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
        let options = KubeConfigOptions {
            context: Some(context.to_owned()),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.expect("a context");
        // A test sees each answer, also one that says to try again.
        config.default_retry = false;
        let client = Client::try_from(config).expect("a client");
        let mut api = Self {
            client,
            namespace: namespace.to_owned(),
            discovery: newer::NEW,
        };
        if !api.has(newer::NEW).await && api.has(newer::OLD).await {
            api.discovery = newer::OLD;
        }
        api
    }

    async fn has(&self, group: &str) -> bool {
        let path = format!("/apis/{group}");
        self.send(Method::GET, path, &Value::Null).await.is_ok()
    }

    /// The client of a context, without a namespace.
    pub(super) fn client(self) -> Client {
        self.client
    }

    /// Whether its server is older than `discovery.k8s.io/v1`.
    pub(super) fn is_old(&self) -> bool {
        self.discovery == newer::OLD
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    fn path(&self, resource: &str) -> String {
        let group = match resource {
            "deployments" | "statefulsets" => "apis/apps/v1",
            "leases" => "apis/coordination.k8s.io/v1",
            "endpointslices" => &format!("apis/{}", self.discovery),
            "roles" | "rolebindings" => "apis/rbac.authorization.k8s.io/v1",
            "namespaces" => return "/api/v1/namespaces".to_owned(),
            _ => "api/v1",
        };
        format!("/{group}/namespaces/{}/{resource}", self.namespace)
    }

    /// Whether its user has this right, such as `get`, `pods/log`. Only a real API server knows.
    pub(super) async fn may(&self, verb: &str, resource: &str) -> bool {
        let group = match self
            .path(resource)
            .split('/')
            .collect::<Vec<_>>()
            .as_slice()
        {
            ["", "apis", group, ..] => (*group).to_owned(),
            _ => String::new(),
        };
        let (resource, part) = resource.split_once('/').unwrap_or((resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": self.namespace, "verb": verb, "group": group, "resource": resource, "subresource": part,
            } },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned();
        let review = self
            .send(Method::POST, path, &review)
            .await
            .expect("a review");
        review["status"]["allowed"] == true
    }

    async fn send(&self, method: Method, path: String, body: &Value) -> Result<Value, Error> {
        let kind = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind);
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.client
            .request(request.body(body.into_bytes()).expect("a request"))
            .await
    }

    pub(crate) async fn try_get(&self, resource: &str, name: &str) -> Result<Value, Error> {
        let path = format!("{}/{name}", self.path(resource));
        self.send(Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn get(&self, resource: &str, name: &str) -> Value {
        let got = self.try_get(resource, name).await;
        got.unwrap_or_else(|error| panic!("{resource} {name}: {error}"))
    }

    /// The whole list, whose version a watch can begin with. Of a selector such as `a=b`; empty for all.
    pub(crate) async fn try_list(&self, resource: &str, labels: &str) -> Result<Value, Error> {
        let path = format!("{}?labelSelector={labels}", self.path(resource));
        self.send(Method::GET, path, &Value::Null).await
    }

    /// The objects of the list.
    pub(crate) async fn list(&self, resource: &str, labels: &str) -> Vec<Value> {
        let list = self.try_list(resource, labels).await;
        let mut list = list.unwrap_or_else(|error| panic!("{resource}: {error}"));
        serde_json::from_value(list["items"].take()).expect("a list")
    }

    pub(crate) async fn create(&self, resource: &str, object: &Value) -> Result<Value, Error> {
        let object = self.of_version(resource, object);
        self.send(Method::POST, self.path(resource), &object).await
    }

    /// Of the version of its API that the server has.
    fn of_version(&self, resource: &str, object: &Value) -> Value {
        let mut object = object.clone();
        if resource == "endpointslices" {
            object["apiVersion"] = self.discovery.into();
        }
        object
    }

    /// Replaces it, if it is of the version that it names.
    pub(crate) async fn replace(&self, resource: &str, object: &Value) -> Result<Value, Error> {
        let name = object["metadata"]["name"].as_str().expect("a name");
        let path = format!("{}/{name}", self.path(resource));
        let object = self.of_version(resource, object);
        self.send(Method::PUT, path, &object).await
    }

    /// A merge patch of an object, or of a part of it: `gemma/status`.
    pub(crate) async fn patch(
        &self,
        resource: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, Error> {
        self.patch_as("tests", resource, name, patch).await
    }

    /// The same by somebody of this name, which `managedFields` keeps.
    pub(crate) async fn patch_as(
        &self,
        manager: &str,
        resource: &str,
        name: &str,
        patch: &Value,
    ) -> Result<Value, Error> {
        let url = format!("{}/{name}?fieldManager={manager}", self.path(resource));
        self.send(Method::PATCH, url, patch).await
    }

    /// Deletes it at once, if it fits these preconditions: null, or `uid` and `resourceVersion`.
    pub(crate) async fn delete(
        &self,
        resource: &str,
        name: &str,
        preconditions: &Value,
    ) -> Result<Value, Error> {
        let mut options =
            json!({ "kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0 });
        if !preconditions.is_null() {
            options["preconditions"] = preconditions.clone();
        }
        let path = format!("{}/{name}", self.path(resource));
        self.send(Method::DELETE, path, &options).await
    }

    /// What happens after a version: the first `count` events, bookmarks left out; fewer if the watch ends before.
    pub(crate) async fn watch(&self, resource: &str, version: &str, count: usize) -> Vec<Event> {
        self.watch_with(false, resource, version, count).await
    }

    /// The same with bookmarks, or without.
    pub(crate) async fn watch_with(
        &self,
        bookmarks: bool,
        resource: &str,
        version: &str,
        count: usize,
    ) -> Vec<Event> {
        let path = format!(
            "{}?watch=1&timeoutSeconds=20&allowWatchBookmarks={bookmarks}&resourceVersion={version}",
            self.path(resource)
        );
        let request = Request::get(path).body(Vec::new()).expect("a request");
        let events = match self.client.request_events::<Value>(request).await {
            Ok(events) => events,
            // A real server may also refuse at once.
            Err(Error::Api(status)) => return vec![("ERROR", json!(status))],
            Err(error) => panic!("{resource}: {error}"),
        };
        let mut events = std::pin::pin!(events);
        let mut seen = Vec::new();
        while seen.len() < count {
            match events.try_next().await {
                Ok(Some(WatchEvent::Added(object))) => seen.push(("ADDED", object)),
                Ok(Some(WatchEvent::Modified(object))) => seen.push(("MODIFIED", object)),
                Ok(Some(WatchEvent::Deleted(object))) => seen.push(("DELETED", object)),
                Ok(Some(WatchEvent::Bookmark(at))) => seen.push(("BOOKMARK", json!(at))),
                Ok(Some(WatchEvent::Error(status))) => seen.push(("ERROR", json!(status))),
                // Its time is over, or its connection.
                Ok(None) | Err(_) => break,
            }
        }
        seen
    }

    /// Makes a workload of that name without replicas, and a Service for it.
    pub(crate) async fn workload(&self, resource: &str, name: &str) {
        let labels = json!({ "app": name });
        let container = json!({ "name": "server", "image": "tests/fixture:1", "ports": [{ "containerPort": 8080 }] });
        let mut object = json!({
            "metadata": { "name": name },
            "spec": {
                "replicas": 0,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
            },
        });
        object["apiVersion"] = "apps/v1".into();
        object["kind"] = if resource == DEPLOYMENTS {
            "Deployment"
        } else {
            "StatefulSet"
        }
        .into();
        if resource == STATEFUL_SETS {
            object["spec"]["serviceName"] = name.into();
        }
        self.create(resource, &object).await.expect("a workload");
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
            "spec": { "selector": labels, "ports": [{ "name": "http", "port": 80, "targetPort": 8080 }] },
        });
        self.create("services", &service).await.expect("a service");
    }

    /// The objects of a kind as the crate kube has them.
    pub(crate) fn typed<K>(&self) -> kube::Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        kube::Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What the server of a pod has written. Only a cluster with a kubelet knows, and the fake.
    pub(crate) async fn log(&self, pod: &str) -> String {
        let log = self.typed::<Pod>().logs(pod, &LogParams::default()).await;
        log.expect("its log")
    }

    /// To how many replicas it is scaled.
    pub(crate) async fn replicas(&self, resource: &str, name: &str) -> u64 {
        let object = self.get(resource, name).await;
        object["spec"]["replicas"].as_u64().expect("a number")
    }

    /// Scales it as a person does, or another program.
    pub(crate) async fn scale(&self, resource: &str, name: &str, replicas: u64) {
        let patch = json!({ "spec": { "replicas": replicas } });
        let scaled = self.patch_as("kubectl", resource, name, &patch).await;
        scaled.expect("it is scaled");
    }

    /// An annotation of an object.
    pub(crate) async fn annotation(&self, resource: &str, name: &str, key: &str) -> Option<String> {
        let object = self.get(resource, name).await;
        Some(
            object["metadata"]["annotations"]
                .get(key)?
                .as_str()?
                .to_owned(),
        )
    }
}

/// Waits until the condition is true; fails if it is not in time.
#[track_caller]
pub(crate) fn becomes(
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) -> impl Future<Output = ()> {
    let holds = async move {
        while !condition().await {
            tokio::time::sleep(ms(5)).await;
        }
    };
    within(what, holds)
}

/// Who has set `spec.replicas` last, by `managedFields`.
pub(crate) fn owners_of_replicas(object: &Value) -> Vec<String> {
    let entries = object["metadata"]["managedFields"].as_array();
    let owns = |it: &&Value| !it["fieldsV1"]["f:spec"]["f:replicas"].is_null();
    let owners = entries.into_iter().flatten().filter(owns);
    let owners = owners.filter_map(|it| Some(it["manager"].as_str()?.to_owned()));
    owners.collect()
}

/// The code and the reason that the API gave, such as 409 and `Conflict`.
#[track_caller]
pub(crate) fn refusal<T>(result: Result<T, Error>) -> (u16, String) {
    match result {
        Err(Error::Api(status)) => (status.code, status.reason.clone()),
        Err(error) => panic!("it failed otherwise: {error}"),
        Ok(_) => panic!("it is not refused"),
    }
}
