use std::ffi::OsStr;

use serde_json::{Value, json};

use super::*;
use crate::{
    config::{ReadyRequest, kubernetes::Workload},
    launch::OomScoreAdj,
};

const SECRET: &str = "s3cr3t-marker";

fn read(value: &Value) -> Result<LocalServiceConfig, serde_json::Error> {
    serde_json::from_str(&value.to_string())
}

/// A server with this key set.
fn with(key: &str, value: impl Into<Value>) -> Result<LocalServiceConfig, serde_json::Error> {
    let mut object = json!({ "command": "/bin/server" });
    object[key] = value.into();
    read(&object)
}

fn refusal(key: &str, value: impl Into<Value>) -> String {
    with(key, value).unwrap_err().to_string()
}

#[test]
fn a_command_is_enough_and_the_rest_is_the_default() {
    let read = read(&json!({ "command": "/bin/server" })).unwrap();
    assert_eq!(
        format!("{read:?}"),
        format!("{:?}", LocalServiceConfig::new("/bin/server"))
    );
    assert!(refusal("command", Value::Null).contains("null"));
    let error = serde_json::from_str::<LocalServiceConfig>("{}").unwrap_err();
    assert!(
        error.to_string().contains("missing field `command`"),
        "{error}"
    );
}

#[test]
fn every_key_is_read() {
    let config = read(&json!({
        "command": "/bin/server",
        "args": ["--port", "8080", ""],
        "cwd": "/tmp",
        "env": { "A": "1", "B": "" },
        "inheritEnv": ["PATH"],
        "healthUrl": "http://localhost:1/health",
        "healthHeaders": { "X-A": "b" },
        "healthStatus": [200, 404],
        "allowRemoteHealth": true,
        "readyTimeoutMs": 1,
        "probeTimeoutMs": 2,
        "unresponsiveMs": 3,
        "idleStopMs": 4,
        "stopTimeoutMs": 5,
        "swapTimeoutMs": 6,
        "abandonGraceMs": 7,
        "maxWaiters": 8,
        "stopDetached": false,
        "oomScoreAdj": -9,
        "stopSignal": "SIGINT",
    }))
    .unwrap();
    let ms = Duration::from_millis;
    let launch = &config.launch;
    assert_eq!(launch.command.to_str(), Some("/bin/server"));
    assert_eq!(launch.args, ["--port", "8080", ""]);
    assert_eq!(
        launch.cwd.as_deref().and_then(|it| it.to_str()),
        Some("/tmp")
    );
    assert_eq!(launch.env[OsStr::new("A")], "1");
    assert_eq!(launch.env[OsStr::new("B")], "");
    assert_eq!(
        launch.inherit_env,
        InheritEnv::Only(vec!["PATH".to_owned()])
    );
    assert_eq!(
        config.health_url.as_deref(),
        Some("http://localhost:1/health")
    );
    assert_eq!(config.health_headers, [("X-A".to_owned(), "b".to_owned())]);
    assert_eq!(config.health_status, Some(vec![200, 404]));
    assert!(config.allow_remote_health);
    assert_eq!(config.ready_timeout, ms(1));
    assert_eq!(config.probe_timeout, ms(2));
    assert_eq!(config.unresponsive_after, Some(ms(3)));
    assert_eq!(config.idle_stop, ms(4));
    assert_eq!(config.stop_timeout, ms(5));
    assert_eq!(config.swap_timeout, Some(ms(6)));
    assert_eq!(config.abandon_grace, Some(ms(7)));
    assert_eq!(config.max_waiters, Some(8));
    assert!(!config.stop_detached);
    assert_eq!(config.oom_score_adj, OomScoreAdj::Exactly(-9));
    assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
}

#[test]
fn what_a_service_needs_is_read() {
    let needs = with("needs", json!({ "gpu0": "18GB", "models": 1 }));
    let expected = [("gpu0", 18_000_000_000), ("models", 1)];
    let expected = expected.map(|(name, amount)| (name.to_owned(), Amount::new(amount)));
    assert_eq!(needs.unwrap().needs, expected.into());
    assert!(with("pinned", true).unwrap().pinned);
    assert!(with("keepReady", true).unwrap().keep_ready);
    let turn = with("turnMs", 10).unwrap().turn;
    assert_eq!(turn, Some(Duration::from_millis(10)));
}

#[test]
fn what_a_service_needs_is_an_amount_of_each_resource() {
    for (needs, said) in [
        (json!({ "gpu0": -1 }), "out of range"),
        (json!({ "gpu0": "18 gigs" }), "is no amount"),
        (json!({ "gpu0": null }), "a whole number, or a text"),
        (json!(["gpu0"]), "an object"),
    ] {
        let refused = refusal("needs", needs.clone());
        assert!(refused.contains(said), "{needs}: {refused}");
    }
    let twice = r#"{ "command": "/bin/server", "needs": { "gpu0": 1, "gpu0": 2 } }"#;
    let refused = serde_json::from_str::<LocalServiceConfig>(twice).unwrap_err();
    assert!(refused.to_string().contains("duplicate key `gpu0`"));
    assert_eq!(with("turnMs", Value::Null).unwrap().turn, None);
    assert_eq!(with("turnMs", 0).unwrap().turn, Some(Duration::ZERO));
}

#[test]
fn an_unknown_key_is_refused_by_name() {
    assert!(refusal("port", 8080).contains("unknown field `port`"));
    assert!(refusal("ready_timeout_ms", 1).contains("unknown field `ready_timeout_ms`"));
}

#[test]
fn null_is_refused_but_where_it_means_something() {
    for key in [
        "args",
        "cwd",
        "env",
        "inheritEnv",
        "healthUrl",
        "healthHeaders",
        "healthStatus",
        "allowRemoteHealth",
        "readyTimeoutMs",
        "probeTimeoutMs",
        "idleStopMs",
        "stopTimeoutMs",
        "swapTimeoutMs",
        "maxWaiters",
        "stopDetached",
        "needs",
        "pinned",
        "keepReady",
    ] {
        assert!(with(key, Value::Null).is_err(), "{key}");
    }
    assert_eq!(
        with("abandonGraceMs", Value::Null).unwrap().abandon_grace,
        None
    );
    assert_eq!(
        with("unresponsiveMs", Value::Null)
            .unwrap()
            .unresponsive_after,
        None
    );
    assert_eq!(
        with("oomScoreAdj", Value::Null).unwrap().oom_score_adj,
        OomScoreAdj::Inherited
    );
}

#[test]
fn milliseconds_are_whole_numbers_from_zero() {
    for value in [
        json!(-1),
        json!(1.5),
        json!("100"),
        json!(true),
        json!(1e300),
        json!(-1.0),
    ] {
        let error = refusal("readyTimeoutMs", value);
        assert!(error.contains("a whole number of milliseconds"), "{error}");
    }
    let ready_timeout = |value| with("readyTimeoutMs", value).unwrap().ready_timeout;
    assert_eq!(ready_timeout(json!(0)), Duration::ZERO);
    assert_eq!(ready_timeout(json!(60e3)), Duration::from_secs(60));
    assert_eq!(
        ready_timeout(json!(u64::MAX)),
        Duration::from_millis(u64::MAX)
    );
}

#[test]
fn inherit_env_is_true_or_a_list() {
    let inherit = |value| with("inheritEnv", value).unwrap().launch.inherit_env;
    assert_eq!(inherit(json!(true)), InheritEnv::All);
    assert_eq!(inherit(json!([])), InheritEnv::Only(Vec::new()));
    assert!(refusal("inheritEnv", false).contains("[] for none"));
    assert!(refusal("inheritEnv", "PATH").contains("neither `true` nor a list"));
}

#[test]
fn a_blank_health_url_is_the_default() {
    let config = with("healthUrl", "  ").unwrap();
    let target = config
        .validate("x", "http://localhost:1/v1")
        .unwrap()
        .target;
    assert_eq!(target.path_and_query, "/v1/models");
}

#[test]
fn statuses_and_limits_that_are_no_such_numbers_are_refused() {
    assert!(with("healthStatus", json!([-1])).is_err());
    assert!(with("healthStatus", json!([70_000])).is_err());
    assert!(with("healthStatus", json!(200)).is_err());
    assert!(with("maxWaiters", json!(-1)).is_err());
    assert!(with("oomScoreAdj", json!("500")).is_err());
}

#[test]
fn what_is_no_string_is_refused_without_showing_it() {
    let number = 12_345_678_901_u64;
    for (key, value, said) in [
        (
            "args",
            json!(["--api-key", number]),
            "`args` has something other than a string at place 2",
        ),
        ("args", json!(["--api-key", [SECRET]]), "place 2"),
        (
            "args",
            json!(format!("--api-key {SECRET}")),
            "`args` is no list",
        ),
        (
            "env",
            json!({ "MY_KEY": number }),
            "`env` has something other than a string for \"MY_KEY\"",
        ),
        (
            "env",
            json!({ "MY_KEY": { "value": SECRET } }),
            "\"MY_KEY\"",
        ),
        ("env", json!({ "MY_KEY": null }), "\"MY_KEY\""),
        (
            "env",
            json!([format!("MY_KEY={SECRET}")]),
            "`env` is no object",
        ),
        (
            "env",
            json!(format!("MY_KEY={SECRET}")),
            "`env` is no object",
        ),
        ("healthHeaders", json!({ "x-key": number }), "\"x-key\""),
        (
            "healthHeaders",
            json!(SECRET),
            "`healthHeaders` is no object",
        ),
    ] {
        let error = refusal(key, value);
        assert!(error.contains(said), "{error}");
        assert!(
            !error.contains(SECRET) && !error.contains("12345678901"),
            "{error}"
        );
    }
}

#[test]
fn a_name_that_is_there_twice_is_refused_without_showing_its_values() {
    for key in ["env", "healthHeaders"] {
        let text = format!(
            r#"{{ "command": "/bin/server", "{key}": {{ "A": "{SECRET}", "A": "{SECRET}" }} }}"#
        );
        let error = serde_json::from_str::<LocalServiceConfig>(&text).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains(&format!("`{key}`")) && error.contains("twice"),
            "{error}"
        );
        assert!(!error.contains(SECRET), "{error}");
    }
}

#[test]
fn a_variable_at_the_wrong_place_is_not_shown() {
    let error = refusal("MY_KEY", SECRET);
    assert!(error.contains("unknown field `MY_KEY`"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
}

#[test]
fn how_it_is_launched_stopped_and_warmed_up_is_read() {
    let config = serde_json::from_str::<LocalServiceConfig>(
        r#"{
            "command": "/bin/lms", "args": ["server", "start"], "launcher": true,
            "stopCommand": ["/bin/lms", "server", "stop"],
            "readyRequest": { "path": "/v1/completions", "body": { "max_tokens": 1 }, "status": [200] }
        }"#,
    );
    let expected = LocalServiceConfig::new("/bin/lms")
        .args(["server", "start"])
        .launcher(true)
        .stop_command(["/bin/lms", "server", "stop"])
        .ready_request(
            ReadyRequest::post("/v1/completions")
                .json(r#"{"max_tokens":1}"#)
                .status([200]),
        );
    assert_eq!(config.unwrap(), expected);
    let request = |json: &str| {
        let text = format!(r#"{{ "command": "/bin/s", "readyRequest": {json} }}"#);
        serde_json::from_str::<LocalServiceConfig>(&text)
            .map(|config| config.ready_request.unwrap())
    };
    let get = request(r#"{ "path": "/warm" }"#).unwrap();
    assert_eq!(get, ReadyRequest::get("/warm"));
    let text = request(r#"{ "method": "PUT", "path": "/", "body": "Hi" }"#).unwrap();
    assert_eq!(text, ReadyRequest::new("PUT", "/").body("Hi"));
    for wrong in [r#"{ "path": "/", "timeout": 1 }"#, "{}", "true"] {
        assert!(request(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_container_is_read_in_the_place_of_a_command() {
    let text = r#"{ "container": {
        "image": "server:1", "args": ["--port", "8080"], "env": { "A_KEY": "s3cr3t-marker" },
        "mounts": ["/models:/models:ro"], "port": 8080, "gpus": "all", "memory": "8g", "init": true,
        "network": "bridge"
    } }"#;
    let config = serde_json::from_str::<LocalServiceConfig>(text).unwrap();
    let container = config.container.as_ref().unwrap();
    assert_eq!(
        (&*container.image, container.port, container.init),
        ("server:1", Some(8080), true)
    );
    assert!(!format!("{config:?}").contains(SECRET));
    let wrong = |json: &str| {
        let text = format!(r#"{{ "container": {json} }}"#);
        serde_json::from_str::<LocalServiceConfig>(&text)
            .unwrap_err()
            .to_string()
    };
    assert!(wrong("{}").contains("container.image"));
    assert!(wrong(r#"{ "image": "i", "env": { "A": 5 } }"#).contains("`container.env`"));
    assert!(wrong(r#"{ "image": "i", "gpu": true }"#).contains("gpu"));
    let both = with("container", json!({ "image": "i" })).unwrap_err();
    assert!(
        both.to_string().contains("write one of the three"),
        "{both}"
    );
}

#[test]
fn a_workload_is_read_in_the_place_of_a_command() {
    let read = |json: &str| {
        let text = format!(r#"{{ "kubernetes": {json} }}"#);
        serde_json::from_str::<LocalServiceConfig>(&text)
    };
    let config = read(
        r#"{
        "namespace": "models", "statefulSet": "gemma", "replicas": 2, "service": "gemma-api", "port": 8080,
        "forward": false, "deadlineMs": 30000, "waitsForNodes": true, "context": "kind-kind"
    }"#,
    );
    let expected = Workload {
        namespace: Some("models".to_owned()),
        deployment: None,
        stateful_set: Some("gemma".to_owned()),
        replicas: Some(2),
        service: Some("gemma-api".to_owned()),
        port: Some(8080),
        forward: Some(false),
        deadline: Some(Duration::from_secs(30)),
        waits_for_nodes: Some(true),
        context: Some("kind-kind".to_owned()),
    };
    assert_eq!(config.unwrap().kubernetes, Some(expected));
    for (json, says) in [
        (r#"{ "name": "gemma" }"#, "name"),
        (r#"{ "deployment": null }"#, "null"),
        (r#"{ "replicas": 70000 }"#, "70000"),
        (r#"{ "deadlineMs": "1m" }"#, "milliseconds"),
        (r#""gemma""#, "a workload of Kubernetes"),
    ] {
        let error = read(json).unwrap_err().to_string();
        assert!(error.contains(says), "{json}: {error}");
    }
    for beside in [
        r#""command": "/bin/server""#,
        r#""container": { "image": "i" }"#,
    ] {
        let text = format!(r#"{{ {beside}, "kubernetes": {{ "namespace": "models" }} }}"#);
        let error = serde_json::from_str::<LocalServiceConfig>(&text).unwrap_err();
        assert!(error.to_string().contains("one of the three"), "{error}");
    }
}

#[test]
fn each_text_of_a_workload_may_have_variables() {
    let text = r#"{ "kubernetes": {
        "namespace": "$", "deployment": "$", "statefulSet": "$", "service": "$", "context": "$"
    } }"#;
    let config: LocalServiceConfig = serde_json::from_str(text).unwrap();
    let mut fields = Vec::new();
    let config = config.change_strings(|field, text| {
        if text != "$" {
            return text;
        }
        fields.push(field);
        field.to_owned()
    });
    let found = |name: &str| Some(format!("kubernetes.{name}"));
    let expected = Workload {
        namespace: found("namespace"),
        deployment: found("deployment"),
        stateful_set: found("statefulSet"),
        service: found("service"),
        context: found("context"),
        ..Workload::default()
    };
    assert_eq!(config.kubernetes, Some(expected));
    assert_eq!(fields.len(), 5);
}
