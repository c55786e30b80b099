//! Workloads of a Kubernetes cluster, scaled from zero and back, in the place of processes (feature `kubernetes`).
//!
//! # Theory of operation
//!
//! A [`Workload`] is a launcher. To launch is to *join* the programs that use the workload, which scales it up if it is at
//! zero; to stop is to *leave* them, and the program that finds no other user scales it down.
//!
//! **The programs agree** by objects of the cluster, and by the versions that these have ([`protocol`]). Nothing is asked of
//! another program, and no clock is compared. One task makes the calls of a launcher, one after another, and looks after the
//! workload when the program does not use it ([`keeper`]).
//!
//! **What programs have not scaled up is left alone.** A workload with replicas that a person or an autoscaler has set is used
//! and never scaled; it is an external server.
//!
//! **Life.** While it is used, the workload, its endpoints and its pods are watched ([`follow`], [`instance`]). An image
//! that cannot be pulled, or a pod that crashes again and again, ends the instance, with what Kubernetes says and the last
//! lines of the log as its output.
//!
//! **Outside of the cluster**, where the base URL is on this machine, each connection to its port is a port-forward to a pod
//! that is ready ([`forward`]). The port refuses connections until there is one.

mod cluster;
mod endpoints;
mod follow;
mod forward;
mod instance;
mod keeper;
mod names;
mod pods;
pub(crate) mod protocol;

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::OnceCell, time::timeout};

use self::{
    cluster::{Cluster, Refused},
    forward::Forward,
    instance::{Instance, Parts},
    keeper::Keeper,
    names::{Kind, Names},
    protocol::{Program, Standing},
};
use super::{BoxFuture, Guarantees, LaunchContext, LaunchError, LaunchIdentity, Launcher, Running};

/// How long joining may take: a few calls, of which each may be repeated.
const JOIN: Duration = Duration::from_secs(20);
/// By default, a program that dies counts as a user for so long.
const DEADLINE: Duration = Duration::from_secs(60);
/// The shortest such time.
const SHORTEST: Duration = Duration::from_secs(5);

/// A workload of a Kubernetes cluster that serves, in the place of a process.
///
/// It is scaled up when your program needs it, and to zero when no program of this crate has used it for
/// [`idle_stop`](crate::LocalServiceConfig::idle_stop). Programs on all machines agree on that by objects in its namespace.
/// A workload that a person or an autoscaler has scaled up is used, and never scaled.
///
/// The base URL is that of its Service (`http://gemma.models.svc:8080/v1`), or one of this machine, to whose port it is
/// forwarded then. The cluster is found as `kubectl` finds it, or by the service account of your program's pod.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use tower_local_service::{LocalServiceConfig, kubernetes::Workload};
///
/// let config = LocalServiceConfig::launched_by(Workload::deployment("models", "gemma"))
///     .ready_timeout(Duration::from_secs(600))
///     .idle_stop(Duration::from_secs(300));
/// # drop(config); // at the base URL http://gemma.models.svc:8080/v1
/// ```
#[derive(Clone)]
pub struct Workload {
    names: Names,
    replicas: u16,
    port: Option<u16>,
    forward: Option<bool>,
    deadline: Duration,
    waits_for_nodes: bool,
    /// Made at first need, on the runtime that needs it.
    connection: Arc<OnceCell<(Arc<Cluster>, Keeper)>>,
}

impl Workload {
    /// A Deployment.
    #[must_use]
    pub fn deployment(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(Kind::Deployment, namespace.into(), name.into())
    }

    /// A `StatefulSet`.
    #[must_use]
    pub fn stateful_set(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::new(Kind::StatefulSet, namespace.into(), name.into())
    }

    fn new(kind: Kind, namespace: String, name: String) -> Self {
        Self {
            names: Names::new(kind, namespace, name),
            replicas: 1,
            port: None,
            forward: None,
            deadline: DEADLINE,
            waits_for_nodes: false,
            connection: Arc::default(),
        }
    }

    /// To how many replicas it is scaled up; 1 by default, and at least.
    #[must_use]
    pub fn replicas(mut self, replicas: u16) -> Self {
        self.replicas = replicas.max(1);
        self
    }

    /// The Service of its pods; by default the one with its name.
    #[must_use]
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.names.service = name.into();
        self
    }

    /// The port of its pods, for the port-forward; by default that of the base URL.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Whether the port of the base URL is one of this machine that is forwarded to its pods; by default, whether the base URL
    /// is on the loopback.
    #[must_use]
    pub fn forward(mut self, forward: bool) -> Self {
        self.forward = Some(forward);
        self
    }

    /// For how long a program counts as a user that has died, in whole seconds; 60 by default, 5 at least. A program that lives
    /// says three times in this time that it uses the workload, which is one call to the API server.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        // A Lease has whole seconds, and others are not to take a program for dead before it knows.
        let up = u64::from(deadline.subsec_nanos() > 0);
        let seconds = deadline.as_secs().saturating_add(up);
        self.deadline = Duration::from_secs(seconds).max(SHORTEST);
        self
    }

    /// Whether a pod that has no room on any node is waited for, since the cluster adds nodes; false by default: it fails the
    /// start at once.
    #[must_use]
    pub fn waits_for_nodes(mut self, waits: bool) -> Self {
        self.waits_for_nodes = waits;
        self
    }

    /// The context of the kubeconfig; by default the current one.
    #[must_use]
    pub fn context(mut self, name: impl Into<String>) -> Self {
        self.names.context = Some(name.into());
        self
    }

    /// The kubeconfig; by default the files of `KUBECONFIG`, or `~/.kube/config`, or the service account of the pod.
    #[must_use]
    pub fn kubeconfig(mut self, path: impl Into<PathBuf>) -> Self {
        self.names.kubeconfig = Some(path.into());
        self
    }

    async fn connection(&self) -> Result<&(Arc<Cluster>, Keeper), Refused> {
        let connect = async {
            let names = self.names.clone();
            let cluster = Cluster::connect(names, self.replicas.into(), self.deadline);
            let cluster = Arc::new(cluster.await?);
            // Of each pause, programs wait between seven tenths and all.
            let spread = 700 + u32::try_from(crate::random::bits() % 300).unwrap_or_default();
            let program = Program::new(self.deadline, spread);
            let keeper = Keeper::new(cluster.clone(), program);
            Ok((cluster, keeper))
        };
        self.connection.get_or_try_init(|| connect).await
    }

    /// Where the port-forward listens; `None` for none.
    fn forwards_at(&self, context: &LaunchContext) -> Option<SocketAddr> {
        let host = context.base_url().host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let address: Option<IpAddr> = host.parse().ok();
        let is_loopback =
            host.eq_ignore_ascii_case("localhost") || address.is_some_and(|it| it.is_loopback());
        let listens = address.filter(IpAddr::is_loopback);
        let listens = listens.unwrap_or(Ipv4Addr::LOCALHOST.into());
        self.forward
            .unwrap_or(is_loopback)
            .then(|| SocketAddr::new(listens, context.port()))
    }

    async fn join(&self, context: &LaunchContext) -> Result<Parts, LaunchError> {
        let refused = |refused: Refused| refused.into_error(&self.names);
        let forward = self.forwards_at(context).map(|address| {
            let bound = Forward::bind(address);
            let port = self.port.unwrap_or(context.port());
            bound.map(|it| (it, port)).map_err(|error| {
                LaunchError::new(format!("the port-forward to {}", self.names), error)
                    .hint("end the program that has the port, or write another into `baseUrl`")
            })
        });
        let forward = forward.transpose()?;
        let (cluster, keeper) = self.connection().await.map_err(refused)?;
        let mut seat = keeper.join();
        let joined = timeout(JOIN, seat.joined()).await;
        let Ok(joined) = joined else {
            let why = seat.trouble();
            let why = why.unwrap_or_else(|| "the API server did not answer in time".to_owned());
            let error = LaunchError::new(self.names.to_string(), io::Error::other(why));
            return Err(error.hint("look whether `kubectl get nodes` answers"));
        };
        let standing = joined.map_err(refused)?;
        if standing == Standing::Lost {
            let error = io::Error::other("it was scaled to zero at the same moment");
            return Err(LaunchError::new(self.names.to_string(), error).hint("try again"));
        }
        Ok(Parts {
            cluster: cluster.clone(),
            seat,
            output: context.output().clone(),
            forward,
            waits_for_nodes: self.waits_for_nodes,
        })
    }
}

impl Launcher for Workload {
    fn identity(&self) -> LaunchIdentity {
        let Self {
            names,
            replicas,
            port,
            forward,
            ..
        } = self;
        LaunchIdentity::new(&names.to_string())
            .part(&names.service)
            .part(names.context.as_deref().unwrap_or_default())
            .part(format!("{replicas} {port:?} {forward:?}"))
    }

    fn serves_elsewhere(&self) -> bool {
        true
    }

    /// Programs have scaled it up, on this machine or another; or it is at zero, whatever its network says then.
    fn takes_over(&self, _: &LaunchContext) -> BoxFuture<'static, bool> {
        let workload = self.clone();
        Box::pin(async move {
            let Ok((cluster, _)) = workload.connection().await else {
                return false;
            };
            cluster.is_for_programs().await
        })
    }

    fn launch(
        &self,
        context: LaunchContext,
    ) -> BoxFuture<'static, Result<Box<dyn Running>, LaunchError>> {
        let workload = self.clone();
        Box::pin(async move {
            let parts = workload.join(&context).await?;
            Ok(Box::new(Instance::new(parts)) as Box<dyn Running>)
        })
    }

    fn guarantees(&self) -> Guarantees {
        Guarantees {
            // Pods have the grace of their specification.
            has_grace: true,
            finds_descendants: true,
            ..Guarantees::default()
        }
    }
}

/// Without what its credentials are.
impl fmt::Debug for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            names,
            replicas,
            port,
            forward,
            deadline,
            waits_for_nodes,
            connection: _,
        } = self;
        f.debug_struct("Workload")
            .field("kind", &names.kind)
            .field("namespace", &names.namespace)
            .field("name", &names.workload)
            .field("service", &names.service)
            .field("context", &names.context)
            .field("kubeconfig", &names.kubeconfig)
            .field("replicas", replicas)
            .field("port", port)
            .field("forward", forward)
            .field("deadline", deadline)
            .field("waits_for_nodes", waits_for_nodes)
            .finish()
    }
}
