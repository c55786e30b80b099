//! A use of the workload as an instance: what ends it, what its pods say, its port-forward.

use std::{collections::BTreeMap, io, pin::Pin, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::DynamicObject, core::Status};
use tokio::{sync::watch, task::JoinSet};

use super::{
    cluster::{Cluster, seen},
    endpoints::{Ready, follow_ready},
    follow::{Selector, follow},
    forward::Forward,
    keeper::Seat,
    pods::{self, Trouble},
};
use crate::launch::{BoxFuture, Exit, Look, OutputSink, OutputStream, Running};

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Pods = BTreeMap<String, Pod>;

/// What an instance is made of.
pub(super) struct Parts {
    pub(super) cluster: Arc<Cluster>,
    pub(super) seat: Seat,
    pub(super) output: OutputSink,
    /// Outside of the cluster, and to which port of the pods.
    pub(super) forward: Option<(Forward, u16)>,
    pub(super) waits_for_nodes: bool,
}

pub(super) struct Instance {
    /// `None` once it has ended.
    ending: Option<Work<()>>,
    asked: watch::Sender<Asked>,
    /// Why it cannot be reached, or is not ready.
    obstacle: watch::Receiver<Option<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Nothing,
    /// To leave the workload to its other users, or to scale it down.
    Stop,
    /// To end at once. What is left to do is done by the keeper.
    Kill,
}

impl Instance {
    pub(super) fn new(parts: Parts) -> Self {
        let (asked, orders) = watch::channel(Asked::Nothing);
        let (obstacles, obstacle) = watch::channel(None);
        Self {
            ending: Some(Box::pin(ended(parts, orders, obstacles))),
            asked,
            obstacle,
        }
    }
}

impl Running for Instance {
    /// Its processes are on other machines.
    fn id(&self) -> Option<u32> {
        None
    }

    fn exited(&mut self) -> BoxFuture<'_, Exit> {
        Box::pin(async {
            if let Some(ending) = &mut self.ending {
                ending.await;
                self.ending = None;
            }
            Exit::default()
        })
    }

    /// Its pods end by themselves, and are in nobody's way.
    fn gone(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn is_alive(&mut self) -> bool {
        self.ending.is_some()
    }

    fn look(&self) -> BoxFuture<'static, Look> {
        let obstacle = self.obstacle.borrow().clone();
        Box::pin(std::future::ready(Look {
            obstacle,
            ..Look::default()
        }))
    }

    fn stop(&mut self) {
        self.asked.send_replace(Asked::Stop);
    }

    fn kill(&mut self) {
        self.asked.send_replace(Asked::Kill);
    }
}

/// Resolves when the instance is no more. All that it has is given back then, or when this is dropped.
async fn ended(
    parts: Parts,
    mut orders: watch::Receiver<Asked>,
    obstacles: watch::Sender<Option<String>>,
) {
    let Parts {
        cluster,
        mut seat,
        output,
        forward,
        waits_for_nodes,
    } = parts;
    let why = tokio::select! {
        why = until_over(&cluster, forward, waits_for_nodes, &obstacles) => Some(why),
        () = seat.lost() => Some("another program has scaled it to zero".to_owned()),
        _ = orders.wait_for(|asked| *asked != Asked::Nothing) => None,
    };
    if let Some(trouble) = seat.trouble() {
        output.tell(&trouble).await;
    }
    if let Some(why) = why {
        output.tell(&why).await;
    }
    // Streams of the log end with the instance.
    output.end(OutputStream::Stdout).await;
    output.end(OutputStream::Stderr).await;
    tokio::select! {
        () = seat.leave() => {}
        _ = orders.wait_for(|asked| *asked == Asked::Kill) => {}
    }
}

/// Resolves with the reason for which the workload serves no more, or will not.
async fn until_over(
    cluster: &Cluster,
    forward: Option<(Forward, u16)>,
    waits_for_nodes: bool,
    obstacles: &watch::Sender<Option<String>>,
) -> String {
    let names = &cluster.names;
    let (say_ready, mut ready) = watch::channel(None::<Ready>);
    let (say_workload, mut workload) = watch::channel(None::<DynamicObject>);
    let (say_pods, mut pods) = watch::channel(Pods::new());
    let is_forwarded = forward.is_some();
    let mut tasks = JoinSet::new();
    if let Some((forward, port)) = forward {
        let api = Api::namespaced(cluster.client.clone(), &names.namespace);
        tasks.spawn(forward.serve(api, ready.clone(), port));
    }
    let endpoints = follow_ready(
        cluster.client.clone(),
        &names.namespace,
        &names.service,
        say_ready,
    );
    let mut endpoints = std::pin::pin!(of_need(endpoints, is_forwarded));
    let mut follows = std::pin::pin!(follow_workload(cluster, say_workload));
    let mut is_listed = false;
    let mut follows_pods = std::pin::pin!(follow_pods(cluster, workload.clone(), say_pods));
    loop {
        tokio::select! {
            status = &mut endpoints => {
                let right = names.right("list and watch", "endpointslices", "discovery.k8s.io");
                return format!("{}: {right}", status.message);
            }
            () = &mut follows => {}
            () = &mut follows_pods => {}
            Some(Ok(Err(error))) = tasks.join_next() => return not_forwarded(&error),
            Ok(()) = ready.changed() => {}
            Ok(()) = workload.changed() => is_listed = true,
            Ok(()) = pods.changed() => {}
        }
        let workload = workload.borrow().clone();
        // Nothing is judged before it is known.
        let is_ready = ready.borrow().as_ref().is_none_or(|it| !it.is_empty());
        obstacles.send_replace((!is_ready).then(|| format!("no pod of {names} is ready")));
        let found = over(workload.as_ref(), is_listed).or_else(|| {
            let of_pods = || pods::trouble_of(pods.borrow().values(), waits_for_nodes);
            let of_workload = || pods::without_pods(workload.as_ref()?);
            (!is_ready).then(|| of_pods().or_else(of_workload))?
        });
        if let Some(trouble) = found {
            return in_full(cluster, trouble).await;
        }
    }
}

/// Whether the workload is no more what it was scaled to. It was there when the program joined.
fn over(workload: Option<&DynamicObject>, is_listed: bool) -> Option<Trouble> {
    let what = match workload {
        Some(it) if seen(it).replicas == 0 => "the workload was scaled to zero",
        None if is_listed => "the workload was deleted",
        _ => return None,
    };
    Some(Trouble {
        what: what.to_owned(),
        log: None,
    })
}

/// Without a port-forward, requests do not need what is watched here.
async fn of_need(follows: impl Future<Output = Box<Status>>, is_needed: bool) -> Box<Status> {
    let status = follows.await;
    if is_needed {
        return status;
    }
    std::future::pending().await
}

/// Does not resolve: without the right to watch it, its changes are noticed by what they do.
async fn follow_workload(cluster: &Cluster, say: watch::Sender<Option<DynamicObject>>) {
    let name = &cluster.names.workload;
    let selector = Selector {
        labels: None,
        fields: Some(format!("metadata.name={name}")),
    };
    let api = cluster.workloads.clone();
    let changed = |all: &BTreeMap<String, DynamicObject>| {
        say.send_replace(all.get(name).cloned());
    };
    drop(follow(api, selector, changed).await);
    std::future::pending::<()>().await;
}

/// Does not resolve: without the right to watch them, less is known of why they are not ready.
async fn follow_pods(
    cluster: &Cluster,
    mut workload: watch::Receiver<Option<DynamicObject>>,
    say: watch::Sender<Pods>,
) {
    let labels = match workload.wait_for(Option::is_some).await {
        Ok(workload) => workload.as_ref().and_then(pods::selector),
        Err(_) => None,
    };
    let Some(labels) = labels else {
        return std::future::pending().await;
    };
    let selector = Selector {
        labels: Some(labels),
        fields: None,
    };
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &cluster.names.namespace);
    drop(follow(api, selector, |all| drop(say.send_replace(all.clone()))).await);
    std::future::pending::<()>().await;
}

/// The trouble, with the last lines of the log.
async fn in_full(cluster: &Cluster, trouble: Trouble) -> String {
    let Some((pod, container, has_ended)) = trouble.log else {
        return trouble.what;
    };
    let log = cluster.log_of(&pod, &container, has_ended).await;
    format!("{log}\n{}", trouble.what)
}

fn not_forwarded(error: &io::Error) -> String {
    format!(
        "the port-forward cannot listen: {error}: end the program that has the port, or write another into `baseUrl`"
    )
}
