//! The cluster of one test.

use std::{
    env, fs,
    ops::Deref,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use serde_json::json;

use super::{
    api::{Api, becomes},
    fake::{ADMIN_TOKEN, Fake, PROGRAM_TOKEN},
    newer::Newer,
    rights::Rights,
};

/// A namespace of its own, in a fake cluster of its own, or in the real one whose kubeconfig `KUBERNETES_API` names. It
/// dereferences to its API with all rights.
pub(crate) struct Cluster {
    api: Api,
    folder: PathBuf,
    fake: Option<Fake>,
    rights: Mutex<Rights>,
    _newer: Option<Newer>,
}

impl Deref for Cluster {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Cluster {
    pub(crate) async fn new() -> Self {
        match env::var("KUBERNETES_API") {
            Ok(kubeconfig) => {
                let text = fs::read_to_string(kubeconfig).expect("a kubeconfig");
                Self::with(None, &text).await
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
        let rights = Rights::documented();
        let cluster = Self {
            api,
            folder,
            fake,
            rights: Mutex::new(rights.clone()),
            _newer: newer,
        };
        cluster.give(rights, ("get", "deployments"), true).await;
        cluster
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
        let rights = self.rights.lock().unwrap().without(verb, resource);
        self.give(rights, (verb, resource), false).await;
    }

    /// Gives the program these rights, and no other, and waits until the cluster knows whether it has the one of a verb on a
    /// resource.
    async fn give(&self, rights: Rights, (verb, resource): (&str, &str), has_it: bool) {
        *self.rights.lock().unwrap() = rights.clone();
        if let Some(fake) = &self.fake {
            fake.give(Some(rights));
            return;
        }
        let api = "rbac.authorization.k8s.io";
        let role = json!({
            "apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": { "name": "program" },
            "rules": rights.rules(),
        });
        let binding = json!({
            "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": { "name": "program" },
            "roleRef": { "apiGroup": api, "kind": "Role", "name": "program" },
            "subjects": [{ "apiGroup": api, "kind": "User", "name": "program" }],
        });
        self.replace("roles", &role).await.expect("a role");
        let bound = self.replace("rolebindings", &binding).await;
        bound.expect("a binding");
        let program = self.as_program().await;
        let knows = async || program.may(verb, resource).await == has_it;
        becomes("the cluster knows the rights", knows).await;
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
