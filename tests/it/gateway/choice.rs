//! Which provider a request goes to, and what of it arrives there.

use serde_json::json;

use crate::support::{
    Fixture,
    gateway::{ConfigFile, Gateway, provider},
};

#[tokio::test]
async fn each_model_goes_to_its_provider() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let gateway = Gateway::start(&json!({ "one": provider(&one), "two": provider(&two) }));
    for (model, fixture) in [("one/tiny", &one), ("two/tiny", &two), ("one/other", &one)] {
        let pid = gateway.ask("/v1/pid", &json!({ "model": model })).await;
        assert_eq!(pid.body, fixture.starts()[0].to_string(), "{model}");
    }
    assert_eq!((one.starts().len(), two.starts().len()), (1, 1));
}

/// Clients put the messages before the model, and write JSON as they like.
#[tokio::test]
async fn a_body_arrives_byte_for_byte_but_for_the_name_of_the_model() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let long = "x".repeat(3 << 20);
    for (sent, arrives) in [
        (r#"{"model":"one/m"}"#, r#"{"model":"m"}"#),
        (
            "\r\n{ \"a\" : [1.0, 1e3, {\"model\":\"one/no\"}],\t\"model\"\n:  \"one/a/b\" , \"ü\":\"\\u00fc\" }\n",
            "\r\n{ \"a\" : [1.0, 1e3, {\"model\":\"one/no\"}],\t\"model\"\n:  \"a/b\" , \"ü\":\"\\u00fc\" }\n",
        ),
        (
            r#"{"model":"\u006fne\/say \"hi\"","x":null}"#,
            r#"{"model":"say \"hi\"","x":null}"#,
        ),
        (
            &format!(r#"{{"messages":"{long}","model":"one/m"}}"#),
            &format!(r#"{{"messages":"{long}","model":"m"}}"#),
        ),
    ] {
        let echo = gateway.post("/v1/echo", sent.to_owned()).await;
        assert!(
            echo.body == arrives,
            "{:.200} instead of {arrives:.200}",
            echo.body
        );
    }
}

#[tokio::test]
async fn without_a_model_it_is_the_primary_one() {
    let fixture = Fixture::new();
    let file = json!({
        "models": { "providers": { "one": provider(&fixture) } },
        "agents": { "defaults": { "model": { "primary": "one/first" } } },
    });
    let gateway = Gateway::run(ConfigFile::new(file.to_string()), &[]);
    for (sent, arrives) in [
        (r"{}", r#"{"model":"first"}"#),
        (" { } ", r#" {"model":"first" } "#),
        (r#"{ "n": 1 }"#, r#"{"model":"first", "n": 1 }"#),
        (r#"{"n":1,"model":null}"#, r#"{"n":1,"model":"first"}"#),
    ] {
        let echo = gateway.post("/v1/echo", sent).await;
        assert_eq!(echo.body, arrives);
    }
    let models = gateway.get("/v1/models").await.json();
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().collect();
    let ids: Vec<_> = ids.iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["one/tiny", "one/first"]);
}

#[tokio::test]
async fn the_path_behind_v1_and_the_query_arrive() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let answer = gateway
        .ask("/v1/bytes?n=7", &json!({ "model": "one/m" }))
        .await;
    assert_eq!(answer.body, ".......");
    let missing = gateway
        .ask("/v1/no/such", &json!({ "model": "one/m" }))
        .await;
    assert_eq!(missing.status, 404);
    assert_eq!(
        missing.body, "not found; see /help",
        "the provider's own answer"
    );
}

#[tokio::test]
async fn all_models_are_listed_and_none_is_started_for_it() {
    let fixture = Fixture::new();
    let far = json!({ "baseUrl": "https://api.example.com/v1", "models": [{ "id": "a/b" }] });
    let gateway = Gateway::start(&json!({ "one": provider(&fixture), "far": far }));
    let models = gateway.get("/v1/models").await.json();
    assert_eq!(models["object"], "list");
    let owners = models["data"].as_array().unwrap().iter();
    let owners: Vec<_> = owners.map(|it| (&it["id"], &it["owned_by"])).collect();
    assert_eq!(
        owners,
        [
            (&json!("far/a/b"), &json!("far")),
            (&json!("one/tiny"), &json!("one"))
        ]
    );
    let one = gateway.get("/v1/models/far/a/b").await;
    assert_eq!(one.json()["object"], "model");
    assert_eq!(gateway.get("/v1/models/far/c").await.status, 404);
    assert!(fixture.starts().is_empty());
}

#[tokio::test]
async fn what_is_loaded_is_in_the_list() {
    let (one, slow) = (Fixture::new(), Fixture::new().with("--delay-bind", 60_000));
    let bad = Fixture::new().flag("--exit-at-start");
    let far = json!({ "baseUrl": "https://api.example.com/v1", "models": [{ "id": "a" }] });
    let gateway = Gateway::start(&json!({
        "one": provider(&one), "slow": provider(&slow), "bad": provider(&bad), "far": far,
    }));
    let state = async |model: &str| {
        let path = format!("/v1/models/{model}");
        gateway.get(&path).await.json()["status"].clone()
    };
    assert_eq!(state("one/tiny").await, json!({ "value": "unloaded" }));
    assert_eq!(state("far/a").await, json!(null));
    gateway.post("/admin/one/start", "").await;
    gateway.post("/admin/bad/start", "").await;
    assert_eq!(
        gateway.post("/admin/slow/start?wait=no", "").await.status,
        202
    );
    gateway.until("slow", |it| it["phase"] == "starting").await;
    assert_eq!(state("one/tiny").await, json!({ "value": "loaded" }));
    assert_eq!(state("slow/tiny").await, json!({ "value": "loading" }));
    let failed = json!({ "value": "unloaded", "failed": true });
    assert_eq!(state("bad/tiny").await, failed);
    let created = gateway.get("/v1/models/one/tiny").await.json()["created"].clone();
    assert!(created.as_u64() > Some(1_700_000_000), "{created}");
}

#[tokio::test]
async fn a_model_can_be_asked_for_by_its_alias() {
    let fixture = Fixture::new();
    let file = json!({
        "models": { "providers": { "one": provider(&fixture) } },
        "agents": { "defaults": { "models": { "one/tiny": { "alias": "gpt-4o-mini" } } } },
    });
    let gateway = Gateway::run(ConfigFile::new(file.to_string()), &[]);
    let echo = gateway
        .ask("/v1/echo", &json!({ "model": "gpt-4o-mini" }))
        .await;
    assert_eq!(echo.json()["model"], "tiny");
    let listed = gateway.get("/v1/models/gpt-4o-mini").await.json();
    assert_eq!(
        (&listed["root"], &listed["owned_by"]),
        (&json!("one/tiny"), &json!("one"))
    );
    assert!(
        gateway
            .log()
            .contains("`gpt-4o-mini` is short for one/tiny")
    );
}

#[tokio::test]
async fn what_the_file_lists_for_that_is_started_ahead() {
    let (one, two, no) = (Fixture::new(), Fixture::new(), Fixture::new());
    let bad = Fixture::new().flag("--exit-at-start");
    let file = json!({ "models": {
        "providers": {
            "one": provider(&one), "two": provider(&two), "no": provider(&no), "bad": provider(&bad),
        },
        "preload": ["bad", "two", "one"],
    } });
    let gateway = Gateway::run(ConfigFile::new(file.to_string()), &[]);
    for provider in ["one", "two"] {
        gateway.until(provider, |it| it["phase"] == "ready").await;
    }
    assert!(no.starts().is_empty());
    assert!(gateway.log().contains("`bad` was not started ahead"));
}

#[tokio::test]
async fn a_model_that_one_provider_alone_lists_needs_no_provider_in_its_name() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let with = |fixture: &Fixture, models: &[&str]| {
        let mut provider = provider(fixture);
        provider["models"] = models.iter().map(|id| json!({ "id": id })).collect();
        provider
    };
    let gateway = Gateway::start(&json!({
        "one": with(&one, &["both", "mine", "two/mine"]),
        "two": with(&two, &["both", "google/gemma", "google/gemma", "mine"]),
    }));
    for (sent, arrives, fixture) in [
        ("google/gemma", "google/gemma", &two),
        ("two/google/gemma", "google/gemma", &two),
        // What has a provider before it is of that provider.
        ("two/mine", "mine", &two),
        ("one/two/mine", "two/mine", &one),
    ] {
        let sent = json!({ "model": sent });
        let echo = gateway.ask("/v1/echo", &sent).await;
        assert_eq!(echo.json()["model"], arrives, "{sent}");
        let pid = gateway.ask("/v1/pid", &sent).await;
        assert_eq!(pid.body, fixture.starts()[0].to_string(), "{sent}");
    }
    let ambiguous = gateway.ask("/v1/echo", &json!({ "model": "both" })).await;
    assert_eq!(ambiguous.failure(), (400, "ambiguous_model".into()));
    assert!(
        ambiguous.body.contains("one/both, two/both"),
        "{ambiguous:?}"
    );
    let nobody = gateway.ask("/v1/echo", &json!({ "model": "Gemma" })).await;
    assert_eq!(nobody.failure(), (404, "model_not_found".into()));

    let gemma = gateway.get("/v1/models/google/gemma").await.json();
    assert_eq!(gemma["id"], "two/google/gemma");
    let mine = gateway.get("/v1/models/two/mine").await.json();
    assert_eq!(mine["id"], "two/mine");
    assert_eq!(gateway.get("/v1/models/both").await.status, 404);
}
