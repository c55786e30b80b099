//! What is called how: the workload, its Service, and the Lease of this program.

use std::{fmt, path::PathBuf};

use super::protocol::Call;
use crate::short_name::short_name;

/// So many characters of a name are in that of a Lease, and in a label, which may have 63.
const LONGEST: usize = 40;

/// What is scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) workload: String,
    /// Its Service.
    pub(super) service: String,
    pub(super) context: Option<String>,
    pub(super) kubeconfig: Option<PathBuf>,
    /// Of this program, for this workload.
    pub(super) lease: String,
    /// This program, for people.
    pub(super) holder: String,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
        }
    }

    /// Its key in files.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulSet",
        }
    }
}

impl Names {
    pub(super) fn new(kind: Kind, namespace: String, workload: String) -> Self {
        let pod = std::env::var("HOSTNAME").unwrap_or_default();
        Self {
            kind,
            namespace,
            service: workload.clone(),
            context: None,
            kubeconfig: None,
            lease: format!(
                "tls-{}-{}-{:032x}",
                kind.key().to_ascii_lowercase(),
                short_name(&workload, LONGEST),
                crate::random::bits()
            ),
            holder: format!("{pod}/{}", std::process::id()),
            workload,
        }
    }

    /// The workload, as the label of a Lease.
    pub(super) fn label(&self) -> String {
        format!(
            "{}.{}",
            self.kind.key().to_ascii_lowercase(),
            short_name(&self.workload, LONGEST)
        )
    }

    /// What the account of this program lacks for this call.
    pub(super) fn missing_right(&self, call: &Call) -> String {
        let workloads = self.kind.plural();
        let (verbs, resource, group) = match call {
            Call::Read => ("get", workloads, "apps"),
            Call::Touch | Call::ScaleUp(_) | Call::ScaleDown(_) => ("patch", workloads, "apps"),
            Call::Say => ("create and patch", "leases", "coordination.k8s.io"),
            Call::Unsay | Call::Forget(..) => ("delete", "leases", "coordination.k8s.io"),
            Call::List => ("list", "leases", "coordination.k8s.io"),
        };
        self.right(verbs, resource, group)
    }

    pub(super) fn right(&self, verbs: &str, resource: &str, group: &str) -> String {
        let namespace = &self.namespace;
        let of_group = if group.is_empty() {
            String::new()
        } else {
            format!(" (API group {group})")
        };
        format!(
            "give its account a Role in namespace `{namespace}` with {verbs} on {resource}{of_group}: \
             examples/kubernetes/rbac.yaml has all that is needed"
        )
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            namespace,
            workload,
            ..
        } = self;
        write!(
            f,
            "{} `{workload}` of namespace `{namespace}`",
            self.kind.name()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_labels_of_long_names_are_short_and_differ() {
        let label = |name: &str| {
            let names = Names::new(Kind::StatefulSet, "models".to_owned(), name.to_owned());
            assert!(names.lease.len() <= 253 && names.label().len() <= 63);
            names.label()
        };
        let long = "a".repeat(250);
        assert_eq!(label("gemma.27b"), "statefulset.gemma.27b");
        assert_ne!(label(&format!("{long}b")), label(&format!("{long}c")));
    }
}
