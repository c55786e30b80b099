//! The calls to the API server, each with a deadline.

use std::{borrow::Cow, error, fmt, io, time::Duration};

use k8s_openapi::{
    api::{
        coordination::v1::{Lease, LeaseSpec},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Config,
    api::{
        ApiResource, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams,
        PostParams, Preconditions,
    },
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    names::Names,
    protocol::{self, Call, Reply, Version},
};
use crate::launch::LaunchError;

/// How long a call may take.
pub(super) const CALL: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// Who changes what, in the records that the API server keeps.
pub(super) const MANAGER: &str = "tower-local-service";
/// To how many replicas a program of this crate has scaled the workload.
const SCALED: &str = "tower-local-service/replicas";
/// Changes with each program that begins to use the workload.
const JOINED: &str = "tower-local-service/joined";
/// Which workload a Lease is about.
const OF: &str = "tower-local-service/workload";

/// The workload of one launcher, in its cluster.
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) names: Names,
    pub(super) workloads: Api<DynamicObject>,
    leases: Api<Lease>,
    replicas: u32,
    deadline: Duration,
}

/// Why a call will not succeed by itself.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) what: String,
    pub(super) hint: Option<Cow<'static, str>>,
    /// There is no such workload.
    pub(super) is_missing: bool,
}

impl Cluster {
    pub(super) async fn connect(
        names: Names,
        replicas: u32,
        deadline: Duration,
    ) -> Result<Self, Refused> {
        let mut config = config(&names).await.map_err(|error| Refused {
            what: format!("no way to the cluster was found: {}", chain(&*error)),
            hint: Some(
                "set KUBECONFIG, or write ~/.kube/config, as for kubectl; in a cluster, give the pod a service account"
                    .into(),
            ),
            is_missing: false,
        })?;
        config.connect_timeout = Some(CONNECT);
        // Each call has a deadline, and is repeated by who makes it.
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|error| Refused {
            what: format!(
                "the cluster cannot be reached with this kubeconfig: {}",
                chain(&error)
            ),
            hint: None,
            is_missing: false,
        })?;
        let namespace = &names.namespace;
        Ok(Self {
            workloads: Api::namespaced_with(client.clone(), namespace, &resource(&names)),
            leases: Api::namespaced(client.clone(), namespace),
            client,
            replicas,
            deadline,
            names,
        })
    }

    /// Makes the call.
    ///
    /// # Errors
    ///
    /// It will not succeed before a person changes something. What may succeed when it is repeated is a reply that says
    /// that it failed, and why.
    pub(super) async fn execute(&self, call: Call) -> Result<(Reply, Option<String>), Refused> {
        let made = timeout(CALL, self.make(&call)).await;
        let error = match made {
            Ok(Ok(reply)) => return Ok((reply, None)),
            Ok(Err(error)) => error,
            Err(_) => {
                let what = format!("the API server has not answered for {CALL:?}");
                return Ok((Reply::Failed, Some(what)));
            }
        };
        let kube::Error::Api(status) = &error else {
            return Ok((Reply::Failed, Some(chain(&error))));
        };
        let names = &self.names;
        let hint = match (status.code, &call) {
            (409, _) => return Ok((Reply::Conflict, None)),
            (404, Call::Unsay | Call::Forget(..)) => return Ok((Reply::Done, None)),
            (404, _) => format!(
                "create it, or correct `{}` and `namespace`",
                names.kind.key()
            )
            .into(),
            (401, _) => Cow::Borrowed("renew the credentials of the kubeconfig"),
            (403, _) => names.missing_right(&call).into(),
            (400 | 405 | 422, _) => {
                return Err(Refused {
                    what: status.message.clone(),
                    hint: None,
                    is_missing: false,
                });
            }
            // Too many requests, and what goes wrong in the server.
            _ => return Ok((Reply::Failed, Some(status.message.clone()))),
        };
        Err(Refused {
            what: status.message.clone(),
            hint: Some(hint),
            is_missing: status.code == 404,
        })
    }

    /// Whether it is at zero, or runs because a program of this crate has scaled it up. No, if that cannot be said.
    pub(super) async fn is_for_programs(&self) -> bool {
        let Ok(Ok(Reply::Workload(workload))) = timeout(CALL, self.read()).await else {
            return false;
        };
        workload.replicas == 0 || workload.is_ours
    }

    async fn make(&self, call: &Call) -> kube::Result<Reply> {
        match call {
            Call::Read => self.read().await,
            Call::Say => self.say().await,
            Call::Touch => {
                let joined = format!("{:016x}", crate::random::bits());
                self.patch(json!({ "metadata": { "annotations": { JOINED: joined } } }))
                    .await
            }
            Call::ScaleUp(version) => self.scale(version, self.replicas).await,
            Call::ScaleDown(version) => self.scale(version, 0).await,
            Call::Unsay => {
                let params = DeleteParams::default();
                let deleted = self.leases.delete(&self.names.lease, &params).await;
                deleted.map(|_| Reply::Done)
            }
            Call::List => self.list().await,
            Call::Forget(name, version) => {
                let params = DeleteParams::default().preconditions(Preconditions {
                    resource_version: Some(version.clone()),
                    uid: None,
                });
                self.leases.delete(name, &params).await.map(|_| Reply::Done)
            }
        }
    }

    async fn read(&self) -> kube::Result<Reply> {
        let workload = self.workloads.get(&self.names.workload).await?;
        Ok(Reply::Workload(seen(&workload)))
    }

    async fn patch(&self, patch: Value) -> kube::Result<Reply> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = &self.names.workload;
        let patch = Patch::Merge(patch);
        let workload = self.workloads.patch(name, &params, &patch).await?;
        Ok(Reply::Workload(seen(&workload)))
    }

    async fn scale(&self, version: &Version, replicas: u32) -> kube::Result<Reply> {
        let scaled = (replicas > 0).then(|| replicas.to_string());
        self.patch(json!({
            "metadata": { "resourceVersion": version, "annotations": { SCALED: scaled } },
            "spec": { "replicas": replicas },
        }))
        .await
    }

    async fn say(&self) -> kube::Result<Reply> {
        let name = &self.names.lease;
        // It is for people: no program compares it with its own clock.
        let now = MicroTime(Timestamp::now());
        let spec = LeaseSpec {
            holder_identity: Some(self.names.holder.clone()),
            lease_duration_seconds: Some(self.deadline.as_secs().try_into().unwrap_or(i32::MAX)),
            renew_time: Some(now),
            ..LeaseSpec::default()
        };
        let renewed = Patch::Merge(json!({ "spec": spec }));
        let params = PatchParams::default();
        match self.leases.patch(name, &params, &renewed).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            renewed => return renewed.map(|_| Reply::Said { is_new: false }),
        }
        let labels = [
            (OF.to_owned(), self.names.label()),
            (
                "app.kubernetes.io/managed-by".to_owned(),
                MANAGER.to_owned(),
            ),
        ];
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        };
        let created = self.leases.create(&PostParams::default(), &lease).await;
        created.map(|_| Reply::Said { is_new: true })
    }

    async fn list(&self) -> kube::Result<Reply> {
        // Without a version, the list is the newest one.
        let params = ListParams::default().labels(&format!("{OF}={}", self.names.label()));
        let leases = self.leases.list(&params).await?;
        let others = leases.items.into_iter().filter_map(|lease| {
            let name = lease.metadata.name?;
            let seconds = lease.spec.and_then(|it| it.lease_duration_seconds);
            let seconds = seconds.and_then(|it| u64::try_from(it).ok()).unwrap_or(60);
            (name != self.names.lease).then_some(protocol::Lease {
                name,
                version: lease.metadata.resource_version?,
                deadline: Duration::from_secs(seconds.clamp(1, 3600)),
            })
        });
        Ok(Reply::Leases(others.collect()))
    }

    /// The last lines of a container that has ended, or of the one that runs; nothing if they cannot be had.
    pub(super) async fn log_of(&self, pod: &str, container: &str, has_ended: bool) -> String {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.names.namespace);
        let params = LogParams {
            container: Some(container.to_owned()),
            previous: has_ended,
            tail_lines: Some(20),
            ..LogParams::default()
        };
        match timeout(CALL, pods.logs(pod, &params)).await {
            Ok(Ok(log)) => log,
            _ => String::new(),
        }
    }
}

async fn config(names: &Names) -> Result<Config, Box<dyn error::Error + Send + Sync>> {
    let options = KubeConfigOptions {
        context: names.context.clone(),
        ..KubeConfigOptions::default()
    };
    Ok(match (&names.kubeconfig, &names.context) {
        (Some(path), _) => {
            Config::from_custom_kubeconfig(Kubeconfig::read_from(path)?, &options).await?
        }
        (None, Some(_)) => Config::from_kubeconfig(&options).await?,
        (None, None) => Config::infer().await?,
    })
}

fn resource(names: &Names) -> ApiResource {
    let kind = names.kind;
    ApiResource {
        group: "apps".to_owned(),
        version: "v1".to_owned(),
        api_version: "apps/v1".to_owned(),
        kind: kind.name().to_owned(),
        plural: kind.plural().to_owned(),
    }
}

/// What counts of a workload.
pub(super) fn seen(workload: &DynamicObject) -> protocol::Workload {
    let replicas = workload.data.pointer("/spec/replicas");
    // The API server writes 1 where nothing is written.
    let replicas = replicas.and_then(Value::as_u64).unwrap_or(1);
    let replicas = u32::try_from(replicas).unwrap_or(u32::MAX);
    let annotations = workload.metadata.annotations.as_ref();
    let scaled = annotations.and_then(|it| it.get(SCALED));
    let is_to_that = scaled.is_some_and(|it| *it == replicas.to_string());
    protocol::Workload {
        version: workload
            .metadata
            .resource_version
            .clone()
            .unwrap_or_default(),
        replicas,
        is_ours: is_to_that && scaler(workload).is_none_or(|it| it == MANAGER),
    }
}

/// Who has set the replicas, where the API server keeps that.
fn scaler(workload: &DynamicObject) -> Option<&str> {
    let managers = workload.metadata.managed_fields.as_ref()?;
    let mut managers = managers.iter().filter(|it| {
        let fields = it.fields_v1.as_ref();
        fields.is_some_and(|it| it.0.pointer("/f:spec/f:replicas").is_some())
    });
    managers.next()?.manager.as_deref()
}

/// The error, and what caused it.
pub(super) fn chain(error: &(dyn error::Error + 'static)) -> String {
    if let Some(kube::Error::Api(status)) = error.downcast_ref() {
        return status.message.clone();
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl Refused {
    pub(super) fn into_error(self, names: &Names) -> LaunchError {
        let error = LaunchError::new(names.to_string(), io::Error::other(self.what));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
