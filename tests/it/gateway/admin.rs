//! `/admin`: servers by hand, and what they do.

use serde_json::json;

use crate::support::{
    Fixture,
    gateway::{ConfigFile, Gateway, chat_provider, provider},
    is_alive,
};

#[tokio::test]
async fn a_server_is_started_shown_and_stopped_by_hand() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let status = gateway.status("one").await;
    assert_eq!(
        (&status["phase"], &status["pid"]),
        (&json!("stopped"), &json!(null))
    );

    let started = gateway.post("/admin/one/start", "").await;
    assert_eq!(started.status, 200);
    let (started, pid) = (started.json(), fixture.starts()[0]);
    for (field, is) in [
        ("phase", json!("ready")),
        ("ownership", json!("owned")),
        ("pid", json!(pid)),
        ("leases", json!(0)),
        ("waiters", json!(0)),
        ("starts", json!(1)),
        ("lastError", json!(null)),
    ] {
        assert_eq!(started[field], is, "{field}");
    }
    let idle = |status: &serde_json::Value| status["idleForMs"].as_u64() > Some(20);
    let status = gateway.until("one", idle).await;
    assert!(status["upForMs"].as_u64() > Some(20), "{status}");

    let stopped = gateway.post("/admin/one/stop", "").await.json();
    assert_eq!(stopped["phase"], "stopped");
    assert!(!is_alive(pid));
    // A second one is no mistake, and the next request starts it again.
    assert_eq!(gateway.post("/admin/one/stop", "").await.status, 200);
    let hello = gateway.ask("/v1/hello", &json!({ "model": "one/m" })).await;
    assert_eq!(hello.body, "hello");
    assert_eq!(gateway.status("one").await["starts"], 2);
}

#[tokio::test]
async fn a_use_in_progress_is_shown() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let response = gateway
        .open("/v1/stall", &json!({ "model": "one/m" }))
        .await;
    let status = gateway.status("one").await;
    assert_eq!(
        (&status["leases"], &status["idleForMs"]),
        (&json!(1), &json!(null))
    );
    drop(response);
}

#[tokio::test]
async fn a_start_by_hand_that_fails_says_why_and_forgives() {
    let fixture = Fixture::new().flag("--exit-at-start");
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    for _ in 0..4 {
        let reply = gateway.post("/admin/one/start", "").await;
        assert_eq!(reply.failure(), (502, "exited".into()));
    }
    assert_eq!(fixture.starts().len(), 4);
    let status = gateway.status("one").await;
    assert!(
        status["lastError"].as_str().unwrap().contains("code 1"),
        "{status}"
    );
}

#[tokio::test]
async fn only_providers_with_a_server_here_are_started_and_shown() {
    let far = json!({ "baseUrl": "http://127.0.0.1:9/v1" });
    let gateway = Gateway::start(&json!({ "far": far }));
    for path in ["/admin/far/start", "/admin/far/stop", "/admin/none/start"] {
        let reply = gateway.post(path, "").await;
        assert_eq!(reply.failure(), (404, "no_such_provider".into()), "{path}");
    }
    let status = gateway.get("/admin/status").await.json();
    assert_eq!(status, json!({ "providers": {}, "resources": [] }));
}

#[tokio::test]
async fn it_shows_which_server_has_what_and_what_another_one_waits_for() {
    let fixtures = [(); 2].map(|()| Fixture::new().with("--tokens", 400));
    let [mut one, mut two] = fixtures.each_ref().map(chat_provider);
    one["localService"]["needs"] = json!({ "gpu0": "18GiB" });
    two["localService"]["needs"] = json!({ "gpu0": "20GiB" });
    let models =
        json!({ "resources": { "gpu0": "24GiB" }, "providers": { "one": one, "two": two } });
    let file = ConfigFile::new(json!({ "models": models }).to_string());
    let gateway = Gateway::run(file, &[]);
    let stream = json!({ "model": "one/x", "stream": true });
    let answer = gateway.open("/v1/chat/completions", &stream).await;
    assert_eq!(answer.status(), 200);
    let asks = gateway.post("/admin/two/start", "");
    let looks = async {
        gateway
            .until("two", |it| it["waitsFor"] != json!(null))
            .await;
        let status = gateway.get("/admin/status").await.json();
        drop(answer);
        status
    };
    let (reply, status) = tokio::join!(asks, looks);
    assert_eq!(reply.status, 200);
    let waits_for = status["providers"]["two"]["waitsFor"].as_str().unwrap();
    assert_eq!(waits_for, "20 GiB of gpu0, which `one` has and uses");
    let gpu = &status["resources"][0];
    assert_eq!(gpu["capacity"], json!(24_u64 << 30));
    assert_eq!(gpu["holders"], json!([["one", 18_u64 << 30]]));
    assert_eq!(gpu["waiting"], json!([["two", 20_u64 << 30]]));
}

#[tokio::test]
async fn a_server_that_another_program_started_is_not_called_stopped() {
    let fixture = Fixture::new();
    let outside = fixture.run_outside();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    assert_eq!(gateway.post("/admin/one/start", "").await.status, 200);
    gateway
        .until("one", |it| it["ownership"] != json!(null))
        .await;
    let reply = gateway.post("/admin/one/stop", "").await;
    assert_eq!(reply.failure(), (409, "not_started_here".into()));
    assert!(outside.is_alive());
}

#[tokio::test]
async fn its_health_is_its_own_and_starts_nothing() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let health = gateway.get("/health").await;
    assert_eq!(
        (health.status.as_u16(), health.json()),
        (200, json!({ "status": "ok" }))
    );
    assert_eq!(gateway.post("/health", "").await.failure().0, 405);
    assert!(fixture.starts().is_empty());
}

#[tokio::test]
async fn all_servers_that_were_started_here_are_stopped_and_no_other() {
    let (one, two, outside) = (Fixture::new(), Fixture::new(), Fixture::new());
    let other = outside.run_outside();
    let gateway = Gateway::start(&json!({
        "one": provider(&one),
        "two": provider(&two),
        "outside": provider(&outside),
        "idle": provider(&Fixture::new()),
    }));
    for model in ["one/m", "two/m", "outside/m"] {
        let hello = gateway.ask("/v1/hello", &json!({ "model": model })).await;
        assert_eq!(hello.body, "hello");
    }
    let started = [one.starts()[0], two.starts()[0]];
    let stopped = gateway.post("/admin/stop", "").await;
    assert_eq!(stopped.status, 200);
    let providers = &stopped.json()["providers"];
    for provider in ["one", "two", "idle"] {
        assert_eq!(providers[provider]["phase"], "stopped", "{provider}");
    }
    assert_eq!(providers["outside"]["ownership"], "external");
    assert!(started.iter().all(|pid| !is_alive(*pid)));
    assert_eq!(outside.alive().len(), 1);
    drop(other);
    let hello = gateway.ask("/v1/hello", &json!({ "model": "one/m" })).await;
    assert_eq!(hello.body, "hello");
}
