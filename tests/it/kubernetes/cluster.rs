//! The cluster of one test.

use std::{
    env, fs,
    ops::Deref,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use serde_json::json;

use super::{
    api::Api,
    fake::{ADMIN_TOKEN, Fake, Fault, PROGRAM_TOKEN},
    newer::Newer,
};
use crate::support::{PATIENCE, ms, now, since};

/// A namespace of its own, in a fake cluster of its own, or in the real one whose kubeconfig `KUBERNETES_API` names. It
/// dereferences to its API with all rights.
pub(crate) struct Cluster {
    api: Api,
    folder: PathBuf,
    fake: Option<Fake>,
    _newer: Option<Newer>,
}

impl Deref for Cluster {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

/// What the program under test may do. It is the role of `docs/kubernetes/rbac.yaml`.
const RIGHTS: &[(&str, &str, &[&str])] = &[
    ("apps", "deployments", &["get", "patch"]),
    ("apps", "statefulsets", &["get", "patch"]),
    (
        "coordination.k8s.io",
        "leases",
        &["get", "list", "create", "update", "patch", "delete"],
    ),
    (
        "discovery.k8s.io",
        "endpointslices",
        &["get", "list", "watch"],
    ),
    ("", "endpoints", &["get", "list", "watch"]),
    ("", "pods", &["get", "list", "watch"]),
    ("", "pods/log", &["get"]),
    ("", "pods/portforward", &["get", "create"]),
    ("", "events", &["list"]),
];

impl Cluster {
    pub(crate) async fn new() -> Self {
        match env::var("KUBERNETES_API") {
            Ok(kubeconfig) => {
                let text = fs::read_to_string(kubeconfig).expect("a kubeconfig");
                let cluster = Self::with(None, &text).await;
                cluster.allow_without(("", "")).await;
                cluster
            }
            Err(_) => Self::of_fake().await,
        }
    }

    /// One with faults, which a real one does not have: there the test is left out.
    #[expect(clippy::print_stderr, reason = "it prints that a test was left out")]
    pub(crate) async fn with_faults() -> Option<Self> {
        if env::var_os("KUBERNETES_API").is_some() {
            eprintln!("left out: a real API server does not fail when a test wants it");
            return None;
        }
        Some(Self::of_fake().await)
    }

    async fn of_fake() -> Self {
        let fake = Fake::new().await;
        let text = kubeconfig(&fake.url());
        Self::with(Some(fake), &text).await
    }

    /// The kubeconfig has two contexts: `tests` may do all, and `program` is that of the program under test.
    async fn with(fake: Option<Fake>, text: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Relaxed);
        let namespace = format!("tests-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(format!("local-service-kubernetes-{namespace}"));
        fs::create_dir_all(&folder).expect("a folder for the test");
        let all = folder.join("all");
        fs::write(&all, text).expect("a kubeconfig");
        let api = Api::new(&all, "tests", &namespace).await;
        let newer = api.is_old().then(|| {
            let all = all.clone();
            Newer::new(async move || Api::new(&all, "program", "default").await.client())
        });
        let of_program = match &newer {
            Some(newer) => &kubeconfig(&newer.url()),
            None => text,
        };
        let of_program = of_program.replace("current-context: tests", "current-context: program");
        fs::write(folder.join("config"), of_program).expect("a kubeconfig");
        let object =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        let made = api.create("namespaces", &object).await;
        made.expect("a namespace");
        Self {
            api,
            folder,
            fake,
            _newer: newer,
        }
    }

    /// The kubeconfig of the program under test, for `KUBECONFIG`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// A kubeconfig with a context `tests`, which may do all, and one `program`. With a real API server it is by TLS, and
    /// without `discovery.k8s.io/v1` if the server has none.
    pub(crate) fn whole_kubeconfig(&self) -> PathBuf {
        self.folder.join("all")
    }

    /// The API with the rights of the program under test.
    pub(crate) async fn as_program(&self) -> Api {
        Api::new(&self.kubeconfig(), "program", self.namespace()).await
    }

    /// The faults and counts, of a cluster that is made by `with_faults`.
    pub(crate) fn faults(&self) -> &Fake {
        self.fake
            .as_ref()
            .expect("`Cluster::with_faults` makes one with faults")
    }

    pub(crate) fn is_real(&self) -> bool {
        self.fake.is_none()
    }

    /// From when this returns, the program may not do this any more: `patch`, `deployments`.
    pub(crate) async fn forbid(&self, verb: &str, resource: &str) {
        match &self.fake {
            Some(fake) => fake.always(&format!("{verb} {resource}"), Fault::Status(403)),
            None => self.allow_without((verb, resource)).await,
        }
    }

    /// Gives the program its rights in a real cluster, but for one, and waits until the cluster knows.
    async fn allow_without(&self, not: (&str, &str)) {
        let verbs = |resource: &str, verbs: &[&'static str]| {
            let is_left = |verb: &&&str| (**verb, resource) != not;
            verbs.iter().filter(is_left).copied().collect::<Vec<_>>()
        };
        let rules = RIGHTS.iter().map(|(group, resource, all)| {
            json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs(resource, all) })
        });
        let rules: Vec<_> = rules.filter(|it| it["verbs"] != json!([])).collect();
        let api = "rbac.authorization.k8s.io";
        let role = json!({
            "apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": { "name": "program" }, "rules": rules,
        });
        let binding = json!({
            "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": { "name": "program" },
            "roleRef": { "apiGroup": api, "kind": "Role", "name": "program" },
            "subjects": [{ "apiGroup": api, "kind": "User", "name": "program" }],
        });
        self.replace("roles", &role).await.expect("a role");
        self.replace("rolebindings", &binding)
            .await
            .expect("a binding");
        let program = self.as_program().await;
        let begun = now();
        let ((verb, resource), wanted) = match not {
            ("", _) => (("get", "deployments"), true),
            not => (not, false),
        };
        while program.may(verb, resource).await != wanted {
            assert!(
                since(begun) < PATIENCE,
                "the cluster never knows: {verb} {resource}"
            );
            tokio::time::sleep(ms(5)).await;
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Two contexts, as `.ci/kubernetes` writes them for a real API server.
fn kubeconfig(url: &str) -> String {
    let context =
        |name: &str| json!({ "name": name, "context": { "cluster": "tests", "user": name } });
    let user = |name: &str, token: &str| json!({ "name": name, "user": { "token": token } });
    let config = json!({
        "apiVersion": "v1", "kind": "Config",
        "clusters": [{ "name": "tests", "cluster": { "server": url } }],
        "users": [user("tests", ADMIN_TOKEN), user("program", PROGRAM_TOKEN)],
        "contexts": [context("tests"), context("program")],
    });
    // JSON is YAML, and the last line is as in the other one.
    let config = config.to_string();
    let open = config.strip_suffix('}').expect("an object");
    format!("{open},\ncurrent-context: tests\n}}\n")
}
