//! The JSON Schema for editors: it is what the types say, and refuses what they refuse.

mod fits;

use std::{env, fs};

use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};

use self::fits::fits;
use super::*;

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/config/schema.json");
const UPDATE: &str = "UPDATE_SCHEMA";

fn schema() -> Value {
    // Draft 7 is what all editors know.
    let settings = SchemaSettings::draft07().with_transform(RecursiveTransform(tidy));
    settings
        .into_generator()
        .into_root_schema_for::<ProvidersConfig>()
        .to_value()
}

/// Makes it shorter to read in an editor.
fn tidy(schema: &mut Schema) {
    // Of the types of Rust.
    schema.remove("format");
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        // Lines end where they do in the source, but for those between paragraphs.
        let paragraphs = description.split("\n\n").map(|it| it.replace('\n', " "));
        *description = paragraphs.collect::<Vec<_>>().join("\n\n");
    }
}

#[test]
fn the_schema_that_is_kept_is_that_of_the_types() {
    let text = format!("{:#}\n", schema());
    if env::var_os(UPDATE).is_some() {
        fs::write(KEPT, &text).unwrap();
    }
    assert!(
        fs::read_to_string(KEPT).unwrap_or_default() == text,
        "{KEPT} is not what the types say: run `{UPDATE}=1 cargo test --lib schema`, and commit it"
    );
}

#[test]
fn each_key_is_described_and_each_time_has_its_unit() {
    fn look_at(schema: &Value, path: &str) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let description = property["description"].as_str().unwrap_or_default();
            let is_step = ["models", "providers", "agents", "defaults"].contains(&key.as_str());
            assert!(!description.is_empty() || is_step, "{path}.{key}");
            let units = [("Ms", "milliseconds"), ("Seconds", "seconds")];
            for (end, unit) in units {
                let has_unit = !key.ends_with(end) || description.contains(unit);
                assert!(has_unit, "{path}.{key}: {description}");
            }
        }
    }
    let schema = schema();
    look_at(&schema, "");
    for (name, definition) in schema["definitions"].as_object().unwrap() {
        look_at(definition, name);
    }
    let local = &schema["definitions"]["LocalService"];
    assert_eq!(local["properties"]["readyTimeoutMs"]["default"], 120_000);
    assert_eq!(local["additionalProperties"], false);
    assert_eq!(
        schema
            .to_string()
            .matches("additionalProperties\":false")
            .count(),
        4,
        "a local service, its ready request, its container and its workload"
    );
}

fn with_provider(provider: Value) -> Value {
    json!({ "models": { "providers": { "any id/at all": provider } } })
}

fn with_service(key: &str, value: Value) -> Value {
    let mut provider = local(9340);
    provider["localService"][key] = value;
    with_provider(provider)
}

/// The service is a workload of Kubernetes, with this key more.
fn with_workload(key: &str, value: Value) -> Value {
    let mut workload = json!({ "namespace": "models", "deployment": "gemma" });
    workload[key] = value;
    with("localService", json!({ "kubernetes": workload }))
}

fn with(key: &str, value: Value) -> Value {
    let mut provider = local(9340);
    provider[key] = value;
    with_provider(provider)
}

/// There is so much, and the service needs so much.
fn with_resource(capacity: Value, needs: Value) -> Value {
    let mut file = with_service("needs", json!({ "schema-gpu": needs }));
    file["models"]["resources"] = json!({ "schema-gpu": capacity });
    file
}

fn with_model(model: Value) -> Value {
    json!({ "agents": { "defaults": { "model": model } } })
}

/// Whether the types take it, too.
fn is_taken(file: &Value) -> bool {
    let config = serde_json::from_value::<ProvidersConfig>(file.clone()).ok();
    let providers = config.and_then(|it| try_registered(it).ok());
    providers.is_some_and(|it| {
        let all = it.ids();
        all.iter()
            .all(|id| it.get(id).unwrap().unavailable.is_none())
    })
}

#[test]
fn what_the_types_take_fits_the_schema() {
    let schema = schema();
    for file in [
        json!({}),
        json!({ "$schema": "./schema.json", "gateway": { "port": 1 }, "models": { "mode": "merge" } }),
        with_provider(local(9340)),
        with_provider(json!({ "baseUrl": "https://api.example.com", "localService": null })),
        with_provider(json!({ "timeoutSeconds": 300 })),
        with("apiKey", json!("${KEY}")),
        with(
            "apiKey",
            json!({ "source": "env", "provider": "default", "id": "KEY" }),
        ),
        with(
            "headers",
            json!({ "x-a": "b", "x-b": { "source": "env", "id": "KEY" } }),
        ),
        with("timeoutSeconds", json!(0.5)),
        with("api", json!(null)),
        with("models", json!([{ "id": "a", "contextWindow": 1 }])),
        with(
            "models",
            json!([{ "id": "a", "baseUrl": "http://127.0.0.1:9341", "api": "b" }]),
        ),
        with(
            "request",
            json!({ "allowPrivateNetwork": true, "headers": { "x-a": "b" } }),
        ),
        with(
            "request",
            json!({ "auth": { "mode": "header", "headerName": "x-a", "value": "${KEY}" } }),
        ),
        json!({ "env": { "A": "b", "vars": { "B": "c" }, "shellEnv": { "enabled": true } } }),
        with("unknown", json!([{}])),
        with_service("inheritEnv", json!(true)),
        with_service("inheritEnv", json!(["PATH"])),
        with_service("env", json!({ "A": "" })),
        with_service("healthStatus", json!([200, 404])),
        with_service("idleStopMs", json!(0)),
        with_service("readyTimeoutMs", json!(60e3)),
        with_service("abandonGraceMs", json!(null)),
        with_service("turnMs", json!(null)),
        with_service("turnMs", json!(0)),
        with_service("pinned", json!(true)),
        with_service("stopCommand", json!(["/bin/true", "--all"])),
        with_service(
            "readyRequest",
            json!({ "path": "/", "method": "PUT", "body": "Hi", "status": [204] }),
        ),
        with_resource(json!("24GB"), json!("18 GiB")),
        with_resource(json!(3), json!(1)),
        with_model(json!("a/b")),
        with_model(json!({ "primary": "a/b", "fallbacks": [] })),
        with_model(json!(null)),
    ] {
        assert!(is_taken(&file), "{file}");
        assert_eq!(fits(&file, &schema), Ok(()), "{file}");
    }
}

#[test]
fn a_workload_that_the_types_refuse_the_schema_refuses() {
    let schema = schema();
    for file in [
        with_service(
            "kubernetes",
            json!({ "namespace": "beside", "deployment": "a-command" }),
        ),
        with(
            "localService",
            json!({ "kubernetes": { "namespace": "models" } }),
        ),
        with(
            "localService",
            json!({ "kubernetes": { "deployment": "gemma" } }),
        ),
        with_workload("statefulSet", json!("gemma")),
        with_workload("replicas", json!(0)),
        with_workload("port", json!(0)),
        with_workload("deadlineMs", json!(4999)),
        with_workload("forwards", json!(true)),
    ] {
        assert!(!is_taken(&file), "{file}");
        assert!(fits(&file, &schema).is_err(), "{file}");
    }
}

#[cfg(feature = "kubernetes")]
#[test]
fn a_workload_fits_the_schema() {
    let schema = schema();
    for file in [
        with_workload("replicas", json!(2)),
        with_workload("forward", json!(true)),
        with_workload("deadlineMs", json!(5000)),
        with_workload("context", json!("kind-kind")),
    ] {
        assert!(is_taken(&file), "{file}");
        assert_eq!(fits(&file, &schema), Ok(()), "{file}");
    }
}

#[test]
fn what_the_types_refuse_the_schema_refuses() {
    let schema = schema();
    for file in [
        json!({ "models": { "providers": [] } }),
        with_provider(json!({ "localService": { "command": "/bin/false" } })),
        with("baseUrl", json!(null)),
        with("apiKey", json!(5)),
        with("apiKey", json!({ "source": "exec", "id": "vault" })),
        with("apiKey", json!({ "source": "env" })),
        with("request", json!({ "auth": { "mode": "vault" } })),
        with("request", json!({ "headers": { "x-a": 5 } })),
        with("timeoutSeconds", json!(0)),
        with("timeoutSeconds", json!("300")),
        with("timeoutSeconds", json!(1e9)),
        with("models", json!(["a"])),
        with("models", json!([{ "name": "A" }])),
        with("localService", json!({})),
        with_service("unknown", json!(1)),
        with_service("args", json!("--port 8080")),
        with_service("args", json!([8080])),
        with_service("env", json!({ "A": 1 })),
        with_service("cwd", json!(null)),
        with_service("inheritEnv", json!(false)),
        with_service("inheritEnv", json!("PATH")),
        with_service("healthStatus", json!([20])),
        with_service("allowRemoteHealth", json!("yes")),
        with_service("readyTimeoutMs", json!(0)),
        with_service("readyTimeoutMs", json!(null)),
        with_service("idleStopMs", json!(-1)),
        with_service("idleStopMs", json!(1.5)),
        with_service("idleStopMs", json!("5m")),
        with_service("stopTimeoutMs", json!(1e12)),
        with_service("maxWaiters", json!(0)),
        with_service("pinned", json!(null)),
        with_service("stopCommand", json!("/bin/true")),
        with_service("launcher", json!("yes")),
        with_service("readyRequest", json!({ "body": "Hi" })),
        with_service("readyRequest", json!({ "path": "/", "status": [20] })),
        with_service("container", json!({ "image": "beside a command" })),
        with_service("turnMs", json!(-1)),
        with_service("needs", json!(["gpu0"])),
        with_resource(json!(24), json!(-1)),
        with_resource(json!(24), json!(null)),
        with_model(json!(5)),
        with_model(json!({ "primary": 5 })),
    ] {
        assert!(!is_taken(&file), "{file}");
        assert!(fits(&file, &schema).is_err(), "{file}");
    }
}

#[cfg(feature = "json5")]
#[test]
fn the_sample_files_fit_the_schema() {
    let schema = schema();
    for path in sample_files() {
        let text = fs::read_to_string(&path).unwrap();
        let file: Value = ::json5::from_str(&text).unwrap();
        assert_eq!(fits(&file, &schema), Ok(()), "{}", path.display());
    }
}
