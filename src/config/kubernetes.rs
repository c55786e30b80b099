//! A workload of a Kubernetes cluster in the place of the command, as files have it.

use std::{sync::Arc, time::Duration};

use super::{LONGEST, Refusals, address::url};
use crate::launch::Launcher;

/// A program that is slow to renew its Lease is not taken for a dead one.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(5);

/// It is read whether or not this crate is built with the feature that scales it, so that the error says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Workload {
    pub(super) namespace: Option<String>,
    pub(super) deployment: Option<String>,
    pub(super) stateful_set: Option<String>,
    pub(super) replicas: Option<u16>,
    pub(super) service: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) forward: Option<bool>,
    pub(super) deadline: Option<Duration>,
    pub(super) waits_for_nodes: Option<bool>,
    pub(super) context: Option<String>,
}

impl Workload {
    pub(super) fn check(&self, base_url: &str, refusals: &mut Refusals<'_>) {
        if !cfg!(feature = "kubernetes") {
            refusals.add(
                "kubernetes",
                "needs the feature `kubernetes` of tower-local-service: build with it, or write a `command`",
            );
        }
        self.check_names(refusals);
        for (field, number, what) in [
            ("kubernetes.replicas", self.replicas, "1 or more"),
            (
                "kubernetes.port",
                self.port,
                "the port on which its pods listen",
            ),
        ] {
            if number == Some(0) {
                refusals.add(field, format!("is 0: write {what}"));
            }
        }
        if self
            .deadline
            .is_some_and(|it| !(SHORTEST_DEADLINE..=LONGEST).contains(&it))
        {
            let (least, most) = (SHORTEST_DEADLINE.as_millis(), LONGEST.as_millis());
            refusals.add(
                "kubernetes.deadlineMs",
                format!("is out of range: write {least} to {most} (a year)"),
            );
        }
        let is_remote = url::base(base_url.trim()).is_ok_and(|it| !url::is_loopback(&it));
        if self.forward == Some(true) && is_remote {
            refusals.add(
                "kubernetes.forward",
                "is true, and `baseUrl` is not on this machine, where a port-forward listens: write a URL such as \
                 http://127.0.0.1:8080/v1 there, or leave this out",
            );
        }
    }

    fn check_names(&self, refusals: &mut Refusals<'_>) {
        const NAMESPACE: &str = "kubernetes.namespace";
        if self.namespace.is_none() {
            refusals.add(NAMESPACE, "is missing: write that of the workload");
        }
        match (&self.deployment, &self.stateful_set) {
            (None, None) => refusals.add(
                "kubernetes",
                "has neither a `deployment` nor a `statefulSet`: write the name of one",
            ),
            (Some(_), Some(_)) => refusals.add(
                "kubernetes",
                "has a `deployment` and a `statefulSet`: write one of them",
            ),
            _ => {}
        }
        for (field, name, may_have_dots) in [
            (NAMESPACE, &self.namespace, false),
            ("kubernetes.deployment", &self.deployment, true),
            ("kubernetes.statefulSet", &self.stateful_set, true),
            ("kubernetes.service", &self.service, false),
        ] {
            let Some(name) = name else { continue };
            let (is_name, dots) = if may_have_dots {
                (name.len() <= 253 && name.split('.').all(is_label), ", dots")
            } else {
                (is_label(name), "")
            };
            if !is_name {
                refusals.add(
                    field,
                    format!(
                        "is no name that Kubernetes takes: write lower-case letters, digits{dots} and dashes, with no \
                         dash at an end"
                    ),
                );
            }
        }
        if self.context.as_ref().is_some_and(|it| it.trim().is_empty()) {
            refusals.add(
                "kubernetes.context",
                "is empty: write that of the kubeconfig, or leave it out for the current one",
            );
        }
    }

    #[cfg(feature = "kubernetes")]
    pub(super) fn launcher(&self) -> Option<Arc<dyn Launcher>> {
        let namespace = self.namespace.clone().unwrap_or_default();
        let mut workload = match (&self.deployment, &self.stateful_set) {
            (Some(name), _) => crate::launch::kubernetes::Workload::deployment(namespace, name),
            (None, Some(name)) => {
                crate::launch::kubernetes::Workload::stateful_set(namespace, name)
            }
            // The configuration is refused.
            (None, None) => return None,
        };
        if let Some(replicas) = self.replicas {
            workload = workload.replicas(replicas);
        }
        if let Some(service) = &self.service {
            workload = workload.service(service);
        }
        if let Some(port) = self.port {
            workload = workload.port(port);
        }
        if let Some(forward) = self.forward {
            workload = workload.forward(forward);
        }
        if let Some(deadline) = self.deadline {
            workload = workload.deadline(deadline);
        }
        if let Some(waits) = self.waits_for_nodes {
            workload = workload.waits_for_nodes(waits);
        }
        if let Some(context) = &self.context {
            workload = workload.context(context);
        }
        Some(Arc::new(workload))
    }

    /// The configuration is refused.
    #[cfg(not(feature = "kubernetes"))]
    #[expect(clippy::unused_self, reason = "with the feature it is used")]
    pub(super) fn launcher(&self) -> Option<Arc<dyn Launcher>> {
        None
    }

    /// The strings in which a file may name variables and `${port}`, with their fields.
    pub(super) fn strings(&mut self) -> impl Iterator<Item = (&'static str, &mut String)> {
        let all = [
            ("kubernetes.namespace", &mut self.namespace),
            ("kubernetes.deployment", &mut self.deployment),
            ("kubernetes.statefulSet", &mut self.stateful_set),
            ("kubernetes.service", &mut self.service),
            ("kubernetes.context", &mut self.context),
        ];
        all.into_iter()
            .filter_map(|(field, text)| Some((field, text.as_mut()?)))
    }
}

/// A label of a DNS name.
fn is_label(text: &str) -> bool {
    let is_alphanumeric = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && ends
            .iter()
            .all(|it| it.is_some_and(|&it| is_alphanumeric(it)))
        && bytes.iter().all(|&it| is_alphanumeric(it) || it == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_kubernetes_takes_for_one() {
        let longest = "a".repeat(63);
        for name in ["a", "gemma-3-4b", "7b", "a--b", &longest] {
            assert!(is_label(name), "{name}");
        }
        let longer = "a".repeat(64);
        for name in ["", "-a", "a-", "Gemma", "a_b", "a.b", "ä", "a b", &longer] {
            assert!(!is_label(name), "{name}");
        }
    }
}
