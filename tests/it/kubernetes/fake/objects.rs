//! What the verbs do to objects.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    call::Call,
    fields,
    status::{self, Answer},
    store::{Key, Store},
};

pub(super) fn timestamp() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Of all verbs but `watch`.
pub(super) fn execute(store: &mut Store, call: &Call) -> Answer {
    match (call.verb, call.part.as_str()) {
        ("list", "") => list(store, call),
        ("create", "") => create(store, call),
        ("get", "" | "status") => match store.get(&key(call)) {
            Some(object) => status::answer(200, object),
            None => status::not_found(call),
        },
        ("get" | "update" | "patch", "scale") => scale(store, call),
        ("get", "log") => log(store, call),
        ("update", "" | "status") => update(store, call),
        ("patch", "" | "status") => patch(store, call),
        ("delete", "") => delete(store, call),
        _ => status::no_such_path(),
    }
}

pub(super) fn key(call: &Call) -> Key {
    (
        call.resource.name,
        call.namespace.clone(),
        call.name.clone(),
    )
}

pub(super) fn is_selected(object: &Value, call: &Call) -> bool {
    let labels = call.parameter("labelSelector").unwrap_or_default();
    let fields = call.parameter("fieldSelector").unwrap_or_default();
    all(labels, |name| object["metadata"]["labels"][name].as_str())
        && all(fields, |path| {
            path.split('.')
                .try_fold(object, |at, name| at.get(name))?
                .as_str()
        })
}

/// Whether all terms hold: `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`.
fn all<'a>(terms: &str, value: impl Fn(&str) -> Option<&'a str>) -> bool {
    let mut depth = 0;
    let terms = terms.split(|sign| {
        depth += i32::from(sign == '(') - i32::from(sign == ')');
        sign == ',' && depth == 0
    });
    terms.filter(|term| !term.is_empty()).all(|term| {
        if let Some((name, list)) = term.split_once(" in (") {
            let list = list.trim_end_matches(')');
            return value(name).is_some_and(|it| list.split(',').any(|one| one.trim() == it));
        }
        match (term.split_once("!="), term.split_once('=')) {
            (Some((name, not)), _) => value(name) != Some(not),
            (None, Some((name, it))) => value(name) == Some(it.trim_start_matches('=')),
            (None, None) => term
                .strip_prefix('!')
                .map_or(value(term).is_some(), |not| value(not).is_none()),
        }
    })
}

fn list(store: &Store, call: &Call) -> Answer {
    let objects = store.list(call.resource.name, &call.namespace);
    let items: Vec<_> = objects
        .filter(|it| is_selected(it, call))
        .cloned()
        .collect();
    let list = json!({
        "kind": format!("{}List", call.resource.kind),
        "apiVersion": call.resource.api_version(),
        "metadata": { "resourceVersion": store.version().to_string() },
        "items": items,
    });
    status::answer(200, &list)
}

fn create(store: &mut Store, call: &Call) -> Answer {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Relaxed);
    let mut object = call.body.clone();
    let metadata = &mut object["metadata"];
    if metadata["name"].is_null() {
        let Some(prefix) = metadata["generateName"].as_str() else {
            return status::invalid(
                call,
                "metadata.name: Required value: name or generateName is required",
            );
        };
        metadata["name"] = format!("{prefix}{number:05x}").into();
    }
    if !metadata["resourceVersion"].is_null() {
        return status::bad_request("resourceVersion should not be set on objects to be created");
    }
    let mut named = call.with_name(metadata["name"].as_str().unwrap_or_default());
    let namespace = ("namespaces", String::new(), call.namespace.clone());
    if call.resource.name == "namespaces" {
        named.namespace.clear();
    } else {
        if store.get(&namespace).is_none() {
            return status::no_namespace(call);
        }
        metadata["namespace"] = call.namespace.as_str().into();
    }
    if store.get(&key(&named)).is_some() {
        return status::already_exists(&named);
    }
    metadata["uid"] = format!("00000000-0000-4000-8000-{number:012x}").into();
    metadata["creationTimestamp"] = timestamp().into();
    object["kind"] = call.resource.kind.into();
    object["apiVersion"] = call.resource.api_version().into();
    if call.resource.group == "apps" && object["spec"]["replicas"].is_null() {
        object["spec"]["replicas"] = 1.into();
    }
    if call.resource.has_status {
        object["metadata"]["generation"] = 1.into();
        object["status"] = json!({});
    }
    fields::note(call, &Value::Null, &mut object);
    status::answer(201, &store.put(key(&named), object))
}

fn update(store: &mut Store, call: &Call) -> Answer {
    let Some(before) = store.get(&key(call)).cloned() else {
        if call.resource.put_creates {
            return create(store, call);
        }
        return status::not_found(call);
    };
    let version = &call.body["metadata"]["resourceVersion"];
    if version.is_null() && !call.resource.put_without_version {
        return status::invalid(
            call,
            "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update",
        );
    }
    replace(store, call, &before, call.body.clone())
}

fn patch(store: &mut Store, call: &Call) -> Answer {
    let Some(before) = store.get(&key(call)).cloned() else {
        return status::not_found(call);
    };
    if call.content_type != "application/merge-patch+json" {
        return status::unsupported(call);
    }
    let mut after = before.clone();
    merge(&mut after, &call.body);
    replace(store, call, &before, after)
}

/// RFC 7386.
fn merge(into: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = Map::new().into();
    }
    for (name, value) in fields {
        if value.is_null() {
            into.as_object_mut().expect("an object").remove(name);
        } else {
            merge(&mut into[name], value);
        }
    }
}

/// Puts `after`, which a client has made, in the place of `before`, if it is of this version.
fn replace(store: &mut Store, call: &Call, before: &Value, mut after: Value) -> Answer {
    let (old, new) = (&before["metadata"], &after["metadata"]);
    if !new["uid"].is_null() && new["uid"] != old["uid"] {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            new["uid"], old["uid"]
        );
        return status::conflict(call, &why);
    }
    if !new["resourceVersion"].is_null() && new["resourceVersion"] != old["resourceVersion"] {
        return status::conflict(call, status::MODIFIED);
    }
    if after["spec"]["replicas"].as_i64().is_some_and(|it| it < 0) {
        return status::invalid(
            call,
            "spec.replicas: Invalid value: must be greater than or equal to 0",
        );
    }
    for name in [
        "uid",
        "creationTimestamp",
        "generation",
        "managedFields",
        "resourceVersion",
        "name",
        "namespace",
    ] {
        if old[name].is_null() {
            if let Some(metadata) = after["metadata"].as_object_mut() {
                metadata.remove(name);
            }
        } else {
            after["metadata"][name] = old[name].clone();
        }
    }
    after["kind"] = before["kind"].clone();
    after["apiVersion"] = before["apiVersion"].clone();
    if call.part == "status" {
        let status = after["status"].take();
        after = before.clone();
        after["status"] = status;
    } else if call.resource.has_status {
        after["status"] = before["status"].clone();
        // So it is for a Deployment.
        let of_annotations = call.resource.name == "deployments"
            && after["metadata"]["annotations"] != before["metadata"]["annotations"];
        if after["spec"] != before["spec"] || of_annotations {
            after["metadata"]["generation"] =
                (before["metadata"]["generation"].as_u64().unwrap_or(0) + 1).into();
        }
    }
    // What changes nothing makes no version.
    if after == *before {
        return status::answer(200, before);
    }
    fields::note(call, before, &mut after);
    status::answer(200, &store.put(key(call), after))
}

fn delete(store: &mut Store, call: &Call) -> Answer {
    let Some(object) = store.get(&key(call)) else {
        return status::not_found(call);
    };
    let (wanted, metadata) = (&call.body["preconditions"], &object["metadata"]);
    for (name, field) in [("UID", "uid"), ("ResourceVersion", "resourceVersion")] {
        if !wanted[field].is_null() && wanted[field] != metadata[field] {
            let (wanted, is) = (&wanted[field], &metadata[field]);
            let why = format!(
                "the {name} in the precondition ({wanted}) does not match the {name} in record ({is})"
            );
            return status::conflict(call, &why);
        }
    }
    let details = json!({
        "name": call.name, "group": call.resource.group, "kind": call.resource.name, "uid": metadata["uid"],
    });
    store.delete(&key(call));
    let done = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    });
    status::answer(200, &done)
}

/// The part of a workload of which an autoscaler knows.
fn scale(store: &mut Store, call: &Call) -> Answer {
    let Some(before) = store.get(&key(call)).cloned() else {
        return status::not_found(call);
    };
    let replicas = &call.body["spec"]["replicas"];
    if call.verb != "get" && !replicas.is_null() {
        let mut after = before.clone();
        after["spec"]["replicas"] = replicas.clone();
        let version = &call.body["metadata"]["resourceVersion"];
        if !version.is_null() {
            after["metadata"]["resourceVersion"] = version.clone();
        }
        let answer = replace(store, call, &before, after);
        if !answer.status().is_success() {
            return answer;
        }
    }
    let object = store.get(&key(call)).unwrap_or(&Value::Null);
    let metadata = &object["metadata"];
    let scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": call.name, "namespace": call.namespace, "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "spec": { "replicas": object["spec"]["replicas"] },
        "status": { "replicas": object["status"]["replicas"].as_i64().unwrap_or(0) },
    });
    status::answer(200, &scale)
}

/// The annotation of a pod in which the player of the kubelet writes what its server has said.
pub(in crate::kubernetes) const LOG: &str = "tests/log";

fn log(store: &Store, call: &Call) -> Answer {
    let Some(pod) = store.get(&key(call)) else {
        return status::not_found(call);
    };
    let text = pod["metadata"]["annotations"][LOG]
        .as_str()
        .unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = call
        .parameter("tailLines")
        .and_then(|it| it.parse().ok())
        .unwrap_or(lines.len());
    let mut said = lines[lines.len().saturating_sub(last)..].join("\n");
    if !said.is_empty() {
        said.push('\n');
    }
    status::text(200, &said)
}
