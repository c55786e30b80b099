//! `examples/kubernetes`: that its parts fit each other, and the crate.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;

const NAMESPACE: &str = "models";

/// The objects in this file.
fn objects(file: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes");
    let text = fs::read_to_string(folder.join(file)).unwrap();
    serde_saphyr::from_multiple(&text).unwrap()
}

fn all() -> Vec<Value> {
    let files = ["gateway.yaml", "models.yaml", "rbac.yaml"];
    files.into_iter().flat_map(objects).collect()
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().expect("a name")
}

fn of_kind<'a>(all: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    all.iter().filter(move |it| it["kind"] == kind)
}

#[track_caller]
fn one<'a>(all: &'a [Value], kind: &str, called: &str) -> &'a Value {
    let mut found = of_kind(all, kind).filter(|it| name(it) == called);
    let first = found.next();
    assert!(found.next().is_none(), "two of {kind} {called}");
    first.unwrap_or_else(|| panic!("no {kind} {called}"))
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    list(value).map(|it| it.as_str().expect("a text"))
}

#[test]
fn each_object_is_there_once_in_the_namespace() {
    let all = all();
    let names: BTreeSet<_> = all
        .iter()
        .map(|it| (it["kind"].as_str().unwrap(), name(it)))
        .collect();
    assert_eq!(names.len(), all.len());
    for object in &all {
        assert!(object["apiVersion"].is_string(), "{object}");
        assert_eq!(object["metadata"]["namespace"], NAMESPACE, "{object}");
    }
}

#[test]
fn what_a_pod_names_is_there() {
    let all = all();
    for deployment in of_kind(&all, "Deployment") {
        let template = &deployment["spec"]["template"];
        let labels = &template["metadata"]["labels"];
        assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
        let service = one(&all, "Service", name(deployment));
        assert_eq!(&service["spec"]["selector"], labels);
        let pod = &template["spec"];
        let container = &pod["containers"][0];
        let of_pod = &container["ports"][0];
        assert_eq!(service["spec"]["ports"][0]["targetPort"], of_pod["name"]);
        let probed = &container["readinessProbe"]["httpGet"]["port"];
        assert_eq!(probed, &of_pod["name"]);
        let volumes: BTreeSet<_> = list(&pod["volumes"])
            .map(|it| it["name"].as_str())
            .collect();
        let mounts = list(&container["volumeMounts"]).map(|it| it["name"].as_str());
        assert_eq!(mounts.collect::<BTreeSet<_>>(), volumes);
        for volume in list(&pod["volumes"]) {
            if let Some(claim) = volume["persistentVolumeClaim"]["claimName"].as_str() {
                one(&all, "PersistentVolumeClaim", claim);
            }
            if let Some(map) = volume["configMap"]["name"].as_str() {
                one(&all, "ConfigMap", map);
            }
        }
        if let Some(account) = pod["serviceAccountName"].as_str() {
            one(&all, "ServiceAccount", account);
        }
    }
    let binding = of_kind(&all, "RoleBinding").next().expect("a binding");
    one(&all, "Role", binding["roleRef"]["name"].as_str().unwrap());
    let account = &binding["subjects"][0];
    assert_eq!(account["namespace"], NAMESPACE);
    one(&all, "ServiceAccount", account["name"].as_str().unwrap());
}

/// What the crate calls, so that an error for a missing right can name this file.
#[test]
fn the_role_has_what_the_crate_calls_and_nothing_more() {
    let rights = |role: &str| {
        let all = objects("rbac.yaml");
        let mut rights = BTreeSet::new();
        for rule in list(&one(&all, "Role", role)["rules"]) {
            for group in texts(&rule["apiGroups"]) {
                for resource in texts(&rule["resources"]) {
                    for verb in texts(&rule["verbs"]) {
                        rights.insert(format!("{verb} {resource}.{group}"));
                    }
                }
            }
        }
        rights
    };
    let called = [
        "get deployments.apps",
        "list deployments.apps",
        "patch deployments.apps",
        "watch deployments.apps",
        "get statefulsets.apps",
        "list statefulsets.apps",
        "patch statefulsets.apps",
        "watch statefulsets.apps",
        "create leases.coordination.k8s.io",
        "delete leases.coordination.k8s.io",
        "list leases.coordination.k8s.io",
        "patch leases.coordination.k8s.io",
        "list endpointslices.discovery.k8s.io",
        "watch endpointslices.discovery.k8s.io",
        "list pods.",
        "watch pods.",
        "get pods/log.",
    ];
    let called = called.map(str::to_owned).into();
    assert_eq!(rights("tower-local-service"), called);
    let forwarded = ["create pods/portforward.", "get pods/portforward."];
    let forwarded = forwarded.map(str::to_owned).into();
    assert_eq!(rights("tower-local-service-forward"), forwarded);
}

/// Each key is one of Kubernetes: what its types do not know is lost when they read it.
#[cfg(feature = "kubernetes")]
#[test]
fn kubernetes_knows_each_key() {
    use k8s_openapi::api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount},
        rbac::v1::{Role, RoleBinding},
    };
    use serde::{Serialize, de::DeserializeOwned};

    fn read<T: Serialize + DeserializeOwned>(object: &Value) -> Value {
        let read: T = serde_json::from_value(object.clone()).unwrap();
        serde_json::to_value(read).unwrap()
    }

    for object in all() {
        let known = match object["kind"].as_str().unwrap() {
            "ConfigMap" => read::<ConfigMap>(&object),
            "Deployment" => read::<Deployment>(&object),
            "PersistentVolumeClaim" => read::<PersistentVolumeClaim>(&object),
            "Role" => read::<Role>(&object),
            "RoleBinding" => read::<RoleBinding>(&object),
            "Service" => read::<Service>(&object),
            "ServiceAccount" => read::<ServiceAccount>(&object),
            kind => panic!("{kind} is not known here: add it"),
        };
        // Whose names and numbers are written in the same way.
        assert_eq!(known, object);
    }
}

/// The file of the gateway, and what its Deployment starts it with.
#[cfg(feature = "gateway")]
mod gateway {
    use super::*;
    use crate::support::gateway::{ConfigFile, program};

    fn file() -> String {
        let all = objects("gateway.yaml");
        let data = &one(&all, "ConfigMap", "gateway")["data"];
        data["models.json5"].as_str().unwrap().to_owned()
    }

    #[test]
    fn the_gateway_takes_its_arguments_and_its_file() {
        let (file, keys) = (ConfigFile::new(file()), ConfigFile::new("a-key"));
        let all = objects("gateway.yaml");
        let pod = &one(&all, "Deployment", "gateway")["spec"]["template"]["spec"];
        let args = texts(&pod["containers"][0]["args"]).map(|arg| match arg {
            "--config=/etc/gateway/models.json5" => format!("--config={}", file.path().display()),
            "--api-key-file=/etc/keys/keys" => format!("--api-key-file={}", keys.path().display()),
            other => other.to_owned(),
        });
        let checked = std::process::Command::new(program())
            .args(args)
            .arg("--check")
            .output()
            .unwrap();
        let [said, wrong] =
            [checked.stdout, checked.stderr].map(|it| String::from_utf8(it).unwrap());
        assert!(checked.status.success(), "{said}{wrong}");
        for provider in [
            "provider `gemma` at http://gemma.models.svc:8080/v1",
            "provider `qwen` at http://qwen.models.svc:8080/v1",
        ] {
            assert!(said.contains(provider), "{said}");
        }
        assert_eq!(said.matches("started on demand").count(), 2, "{said}");
    }

    #[test]
    fn each_provider_is_a_deployment_at_zero_behind_a_service() {
        let file = tower_local_service::provider::ProvidersConfig::from_json5(&file()).unwrap();
        let providers = file.register(&tower_local_service::Registry::new());
        let providers = providers.unwrap();
        let models = objects("models.yaml");
        assert_eq!(
            providers.ids().len(),
            of_kind(&models, "Deployment").count()
        );
        for id in providers.ids() {
            let service = one(&models, "Service", &id);
            let port = &service["spec"]["ports"][0]["port"];
            let base = format!("http://{id}.{NAMESPACE}.svc:{port}/v1");
            assert_eq!(providers.get(&id).unwrap().base_url.to_string(), base);
            let deployment = one(&models, "Deployment", &id);
            assert_eq!(deployment["spec"]["replicas"], 0);
        }
    }
}
