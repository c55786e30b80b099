//! Plays the controllers and the kubelet for one workload, by the API alone: pods, endpoints and status follow
//! `spec.replicas`, and each pod is a process of the fixture on a port of this machine.

mod pod;
mod trouble;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use kube::Error;
use serde_json::{Value, json};

use self::pod::Pod;
pub(crate) use self::trouble::Trouble;
use super::{
    api::{Api, DEPLOYMENTS},
    cluster::Cluster,
    thread::OwnThread,
};
use crate::support::{Fixture, free_port, ms};

/// How often it looks.
const PAUSE: Duration = ms(10);

/// What a kubelet is to do; `start` lets it.
pub(crate) struct Plan {
    resource: String,
    name: String,
    service: String,
    kubeconfig: PathBuf,
    namespace: String,
    args: Vec<String>,
    folder: PathBuf,
    port: u16,
    delay: Duration,
}

/// It plays until it is dropped, which kills all servers of its pods. Declare it after the `Fixture` and the `Cluster`.
pub(crate) struct Kubelet {
    trouble: Arc<Mutex<Option<Trouble>>>,
    _thread: OwnThread,
}

impl Kubelet {
    /// For a workload that is there, whose Service has its name. Its pods run the fixture: the first on the fixture's port,
    /// further ones on other ports.
    pub(crate) fn of(cluster: &Cluster, resource: &str, name: &str, fixture: &Fixture) -> Plan {
        Plan {
            resource: resource.to_owned(),
            name: name.to_owned(),
            service: name.to_owned(),
            kubeconfig: cluster.whole_kubeconfig(),
            namespace: cluster.namespace().to_owned(),
            args: fixture.args().to_vec(),
            folder: fixture.folder().to_owned(),
            port: fixture.port(),
            delay: Duration::ZERO,
        }
    }

    /// From now on, its new pods have this trouble.
    pub(crate) fn fails(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = Some(trouble);
    }

    /// New pods work. Those that have a trouble keep it until they are scaled away.
    pub(crate) fn works(&self) {
        *self.trouble.lock().unwrap() = None;
    }
}

impl Plan {
    /// The server of a pod is started so long after the pod was made.
    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(crate) fn start(self) -> Kubelet {
        let trouble = Arc::new(Mutex::new(None));
        let of_new = Arc::clone(&trouble);
        let play = async move || {
            let api = Api::new(&self.kubeconfig, "tests", &self.namespace).await;
            let mut node = Node::new(self, api, of_new);
            loop {
                // Without the API server it tries again, as all controllers do.
                drop(node.look().await);
                tokio::time::sleep(PAUSE).await;
            }
        };
        Kubelet {
            trouble,
            _thread: OwnThread::run(play),
        }
    }
}

struct Node {
    plan: Plan,
    api: Api,
    trouble: Arc<Mutex<Option<Trouble>>>,
    pods: Vec<Pod>,
    made: u32,
    /// What was written last.
    endpoints: Value,
    status: Value,
}

impl Node {
    fn new(plan: Plan, api: Api, trouble: Arc<Mutex<Option<Trouble>>>) -> Self {
        Self {
            plan,
            api,
            trouble,
            pods: Vec::new(),
            made: 0,
            endpoints: Value::Null,
            status: Value::Null,
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        let object = match self.api.try_get(&self.plan.resource, &self.plan.name).await {
            Err(Error::Api(status)) if status.code == 404 => Value::Null,
            other => other?,
        };
        let wanted = object["spec"]["replicas"].as_u64().unwrap_or(0);
        let wanted = usize::try_from(wanted).expect("a number of pods");
        let trouble = self.trouble.lock().unwrap().clone();
        let refused = matches!(trouble, Some(Trouble::Quota)) && self.pods.len() < wanted;
        while self.pods.len() < wanted && !refused {
            self.make(&object, trouble.clone()).await?;
        }
        for pod in self.pods.iter_mut().skip(wanted) {
            pod.ends();
        }
        for pod in &mut self.pods {
            pod.advance(&self.api, self.plan.delay).await?;
        }
        // No new request goes to a server before it is asked to end.
        self.tell_endpoints().await?;
        for pod in &mut self.pods {
            pod.terminate();
        }
        let gone: Vec<_> = self
            .pods
            .iter()
            .filter(|pod| pod.is_gone())
            .map(|pod| pod.name.clone())
            .collect();
        for name in gone {
            self.forget(&name).await?;
        }
        self.tell_status(&object, refused).await
    }

    async fn make(&mut self, object: &Value, trouble: Option<Trouble>) -> Result<(), Error> {
        self.made += 1;
        let name = if self.plan.resource == DEPLOYMENTS {
            format!("{}-7d9c5b8f6d-{:05}", self.plan.name, self.made)
        } else {
            format!("{}-{}", self.plan.name, self.pods.len())
        };
        let is_taken = self.pods.iter().any(|pod| pod.port == self.plan.port);
        let port = if is_taken {
            free_port()
        } else {
            self.plan.port
        };
        let mut args = self.plan.args.clone();
        args.extend(["--port".to_owned(), port.to_string()]);
        let log = self.plan.folder.join(format!("pod-{}", self.made));
        let pod = Pod::new(name, port, args, log, trouble);
        pod.create(&self.api, &object["spec"]["template"]).await?;
        self.pods.push(pod);
        Ok(())
    }

    async fn forget(&mut self, name: &str) -> Result<(), Error> {
        for (resource, name) in [("pods", name), ("endpointslices", name)] {
            match self.api.delete(resource, name, &Value::Null).await {
                Err(Error::Api(status)) if status.code == 404 => {}
                other => drop(other?),
            }
        }
        self.pods.retain(|pod| pod.name != name);
        Ok(())
    }

    /// A slice for each pod, as each has a port of its own, and the older Endpoints of all.
    async fn tell_endpoints(&mut self) -> Result<(), Error> {
        let placed: Vec<_> = self.pods.iter().filter(|pod| pod.is_placed()).collect();
        let all: Vec<_> = placed
            .iter()
            .map(|pod| pod.slice(&self.plan.service))
            .collect();
        if self.endpoints == json!(all) {
            return Ok(());
        }
        for slice in &all {
            match self.put("endpointslices", slice).await {
                // A server that is older than these.
                Err(Error::Api(status)) if status.code == 404 => {}
                other => other?,
            }
        }
        let subsets: Vec<_> = placed.iter().map(|pod| pod.subset()).collect();
        let endpoints = json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": self.plan.service }, "subsets": subsets,
        });
        self.put("endpoints", &endpoints).await?;
        self.endpoints = json!(all);
        Ok(())
    }

    async fn put(&self, resource: &str, object: &Value) -> Result<(), Error> {
        match self.api.replace(resource, object).await {
            Err(Error::Api(status)) if status.code == 404 => {
                self.api.create(resource, object).await.map(drop)
            }
            other => other.map(drop),
        }
    }

    async fn tell_status(&mut self, object: &Value, refused: bool) -> Result<(), Error> {
        if object.is_null() {
            return Ok(());
        }
        let ready = self.pods.iter().filter(|pod| pod.is_ready()).count();
        let mut status = json!({
            "observedGeneration": object["metadata"]["generation"],
            "replicas": self.pods.len(), "readyReplicas": ready,
        });
        if self.plan.resource == DEPLOYMENTS {
            status["availableReplicas"] = ready.into();
            status["conditions"] = if refused {
                json!([trouble::replica_failure(&self.plan.name)])
            } else {
                Value::Null
            };
        }
        if self.status == status {
            return Ok(());
        }
        let patch = json!({ "status": status });
        let part = format!("{}/status", self.plan.name);
        self.api.patch(&self.plan.resource, &part, &patch).await?;
        if refused && self.plan.resource != DEPLOYMENTS {
            let event = trouble::failed_create(&self.plan.name, object);
            self.api.create("events", &event).await?;
        }
        self.status = status;
        Ok(())
    }
}
