//! What the program under test may do: what `examples/kubernetes/rbac.yaml` gives it, and nothing else.

use kube::config::Kubeconfig;
use serde_json::{Value, json};

const DOCUMENTED: &str = include_str!("../../../examples/kubernetes/rbac.yaml");

/// Rules of a role.
#[derive(Clone)]
pub(super) struct Rights(Vec<Value>);

impl Rights {
    /// Those of all roles of the file.
    pub(super) fn documented() -> Self {
        let documents = DOCUMENTED.split("\n---\n");
        let rules = documents.filter_map(|document| {
            // It is the reader of YAML that is there, and keeps what it does not know.
            let document = Kubeconfig::from_yaml(document).expect("a document of YAML");
            document.other.get("rules")?.as_array().cloned()
        });
        let rules: Vec<_> = rules.flatten().collect();
        assert!(!rules.is_empty(), "the file has roles");
        Self(rules)
    }

    /// The same but for one verb on one resource.
    pub(super) fn without(&self, verb: &str, resource: &str) -> Self {
        let split = self.0.iter().flat_map(|rule| {
            let each = texts(&rule["resources"]).into_iter();
            each.map(|of| {
                let mut verbs = texts(&rule["verbs"]);
                verbs.retain(|it| (it.as_str(), of.as_str()) != (verb, resource));
                json!({ "apiGroups": rule["apiGroups"], "resources": [of], "verbs": verbs })
            })
        });
        // A rule has at least one verb.
        Self(split.filter(|rule| rule["verbs"] != json!([])).collect())
    }

    pub(super) fn allow(&self, verb: &str, group: &str, resource: &str) -> bool {
        let has = |list: &Value, it: &str| texts(list).iter().any(|one| one == it);
        self.0.iter().any(|rule| {
            has(&rule["apiGroups"], group)
                && has(&rule["resources"], resource)
                && has(&rule["verbs"], verb)
        })
    }

    pub(super) fn rules(&self) -> &[Value] {
        &self.0
    }
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().into_iter().flatten();
    texts
        .filter_map(|it| Some(it.as_str()?.to_owned()))
        .collect()
}
