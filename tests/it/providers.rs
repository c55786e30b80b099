//! One layer for all servers of a configuration file, before and after a reload.

use http::header::AUTHORIZATION;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower::{Layer as _, Service as _};
use tower_local_service::{
    BoxError, EnsureLocalService, EnsureLocalServiceLayer, Error, ErrorKind, LocalService, Phase,
    Registry, Resolve as _,
    provider::{Changes, Providers, ProvidersConfig},
};

use crate::{
    clients::{HyperClient, chunk, get, hyper_client, request, send, text},
    support::{Fixture, PROGRAM, eventually, is_alive, ms, waiting, within},
};

type Client = EnsureLocalService<HyperClient, Providers>;

/// A provider whose server is that fixture.
fn provider(fixture: &Fixture) -> Value {
    json!({
        "baseUrl": fixture.url(""),
        "localService": {
            "command": PROGRAM,
            "args": fixture.args(),
            "healthUrl": fixture.url("/v1/models"),
        },
    })
}

fn read(providers: &Value) -> ProvidersConfig {
    let file = json!({ "models": { "providers": providers } });
    serde_json::from_value(file).unwrap()
}

fn registered(providers: &Value) -> (Providers, Client) {
    let providers = read(providers).register(&Registry::new()).unwrap();
    let client = EnsureLocalServiceLayer::new(providers.clone()).layer(hyper_client());
    (providers, client)
}

fn reload(providers: &Providers, next: &Value) -> Changes {
    providers.reload(read(next)).unwrap()
}

fn service(providers: &Providers, id: &str) -> LocalService {
    providers.get(id).unwrap().service.unwrap()
}

async fn ask(client: &Client, url: &str) -> String {
    let response = send(client, get(url)).await.expect("an answer");
    text(response.into_body()).await.expect("a whole body")
}

#[tokio::test]
async fn a_file_in_openclaws_shape_starts_its_server() {
    // Only a probe with the key finds it ready: file, environment and probe agree.
    let fixture = Fixture::new().with("--api-key", "${PATH}");
    let mut llama = provider(&fixture);
    llama["baseUrl"] = json!(fixture.base_url());
    llama["apiKey"] = json!({ "source": "env", "provider": "default", "id": "PATH" });
    llama["headers"] = json!({ "x-team": "${PATH}" });
    llama["authHeader"] = json!(true);
    llama["models"] = json!([{ "id": "gemma", "name": "Gemma", "reasoning": false }]);
    let file = json!({
        "$schema": "unknown", "channels": { "any": [1, null] },
        "models": {
            "mode": "merge",
            "providers": { "llama": llama, "far": { "baseUrl": "https://api.example.com/v1" } },
        },
        "agents": { "defaults": { "model": { "primary": "llama/google/gemma" } }, "list": [] },
    });
    let providers: ProvidersConfig = serde_json::from_value(file).unwrap();
    let providers = providers.register(&Registry::new()).unwrap();
    let client = EnsureLocalServiceLayer::new(providers.clone()).layer(hyper_client());

    let (llama, model) = providers.primary_model().expect("a primary model");
    assert_eq!(
        (llama.id.as_str(), model.as_str()),
        ("llama", "google/gemma")
    );
    assert_eq!(llama.models[0].id, "gemma");
    assert!(providers.get("far").unwrap().service.is_none());

    // The layer adds no header: who sends the request does.
    let url = format!("{}/chat/completions", llama.base_url);
    let mut chat = request(http::Method::POST, &url);
    let key = format!("Bearer {}", llama.api_key.as_deref().unwrap());
    chat.headers_mut()
        .insert(AUTHORIZATION, key.parse().unwrap());
    let response = send(&client, chat).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(text(response.into_body()).await.unwrap());
    assert_eq!(fixture.starts().len(), 1);

    let key = llama.api_key.clone().unwrap();
    let shown = format!("{providers:?} {llama:?} {client:?}");
    assert!(!shown.contains(&key), "{shown}");
    drop((llama, providers, client));
}

#[tokio::test]
async fn a_key_that_the_server_refuses_is_what_the_error_says_to_correct() {
    let fixture = Fixture::new().with("--api-key", "sk-of-the-server");
    let mut llama = provider(&fixture);
    llama["apiKey"] = json!("sk-of-the-file");
    let (_providers, client) = registered(&json!({ "llama": llama }));
    let failed = send(&client, get(&fixture.url("/hello"))).await;
    let failed = failed.expect_err("the probe has the wrong key");
    let error = Error::of(&failed).expect("the crate's own error");
    assert!(
        matches!(error.kind(), ErrorKind::HealthRejected { status: 401, .. }),
        "{error}"
    );
    assert!(
        error
            .hint()
            .starts_with("the provider's `apiKey` was sent and refused"),
        "{error}"
    );
    assert!(!error.to_string().contains("sk-of"), "{error}");
}

#[tokio::test]
async fn probes_show_who_sends_them_as_requests_do() {
    for llama in [
        json!({ "headers": { "authorization": "Bearer sk-of-the-server" } }),
        json!({ "request": { "headers": { "authorization": "Bearer sk-of-the-server" } } }),
        json!({ "apiKey": "sk-of-others", "request": {
            "auth": { "mode": "authorization-bearer", "token": "sk-of-the-server" },
        } }),
        json!({ "apiKey": "sk-of-others", "request": { "auth": {
            "mode": "header", "headerName": "Authorization", "prefix": "Bearer ",
            "value": "sk-of-the-server",
        } } }),
    ] {
        let fixture = Fixture::new().with("--api-key", "sk-of-the-server");
        let mut whole = provider(&fixture);
        for (key, value) in llama.as_object().unwrap() {
            whole[key] = value.clone();
        }
        let (providers, _client) = registered(&json!({ "llama": whole }));
        let service = service(&providers, "llama");
        let started = within("ready", service.start()).await;
        assert!(started.is_ok(), "{llama}: {started:?}");
    }
}

#[tokio::test]
async fn other_urls_pass_through() {
    let fixture = Fixture::new();
    let other = Fixture::new();
    let _elsewhere = other.run_outside();
    let (providers, client) = registered(&json!({ "a": provider(&fixture) }));
    assert_eq!(ask(&client, &other.url("/hello")).await, "hello");
    assert_eq!(other.requests(), ["GET /hello"], "no probe went there");
    assert_eq!(service(&providers, "a").status().phase, Phase::Stopped);
}

#[tokio::test]
async fn a_missing_variable_fails_the_requests_of_its_provider_and_of_no_other() {
    let fixture = Fixture::new().with("--model", "${LOCAL_SERVICE_NOBODY_SETS_THIS}");
    let other = Fixture::new();
    let far = json!({
        "baseUrl": "http://127.0.0.1:1/v1",
        "apiKey": { "source": "exec", "provider": "vault", "id": "key" },
    });
    let (providers, client) = registered(&json!({
        "far": far, "llama": provider(&fixture), "other": provider(&other),
    }));
    assert_eq!(ask(&client, &other.url("/hello")).await, "hello");

    let error = send(&client, get("http://127.0.0.1:1/v1/models")).await;
    let error = error.expect_err("it does not pass through");
    let text = Error::of(&error)
        .expect("the crate's own error")
        .to_string();
    assert!(
        text.contains("provider `far`") && text.contains("\"exec\""),
        "{text}"
    );

    let failed = send(&client, get(&fixture.url("/hello"))).await;
    let failed = failed.expect_err("it cannot be started");
    let error = Error::of(&failed).expect("the crate's own error");
    assert!(fixture.starts().is_empty());
    let told = providers.warnings();
    let told = told.iter().map(|it| (&*it.service, &*it.field));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [("far", "apiKey"), ("llama", "localService.args")]);
    let ErrorKind::InvalidConfig { problems, .. } = error.kind() else {
        panic!("another kind: {error}");
    };
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].service, "llama");
    assert_eq!(problems[0].field, "localService.args");
    let message = &problems[0].message;
    assert!(
        message.contains("LOCAL_SERVICE_NOBODY_SETS_THIS"),
        "{message}"
    );
}

#[tokio::test]
async fn a_reload_swaps_the_server_and_lets_a_stream_come_to_its_end() {
    let old = Fixture::new();
    let new = Fixture::on(old.port());
    let (providers, client) = registered(&json!({ "a": provider(&old) }));
    let stream = send(&client, get(&old.url("/stream?chunks=20&gap_ms=20")));
    let mut stream = stream.await.unwrap().into_body();
    chunk(&mut stream).await.unwrap().unwrap();

    let changes = reload(&providers, &json!({ "a": provider(&new) }));
    assert_eq!(changes.changed, ["a"]);
    assert!(is_alive(old.starts()[0]), "the stream is still read");
    let rest = text(stream).await.unwrap();
    assert!(rest.ends_with("chunk 19\n"));
    // The layer that was made before the reload.
    let pid = ask(&client, &new.url("/pid")).await;
    assert_eq!(pid, new.starts()[0].to_string());
    assert!(!is_alive(old.starts()[0]));
    assert_eq!(old.starts().len(), 1);
}

#[tokio::test]
async fn what_has_left_the_file_is_stopped_and_what_stayed_is_not() {
    let (gone, same) = (Fixture::new(), Fixture::new());
    let file = json!({ "gone": provider(&gone), "same": provider(&same) });
    let (providers, client) = registered(&file);
    // A handle that is kept does not keep the process.
    let kept = providers.get("gone").unwrap();
    assert_eq!(ask(&client, &gone.url("/hello")).await, "hello");
    let pid = ask(&client, &same.url("/pid")).await;

    let changes = reload(&providers, &json!({ "same": provider(&same) }));
    assert_eq!(
        (changes.removed, changes.kept),
        (vec!["gone".to_owned()], vec!["same".to_owned()])
    );
    gone.is_gone().await;
    assert_eq!(ask(&client, &same.url("/pid")).await, pid);
    send(&client, get(&gone.url("/hello")))
        .await
        .expect_err("nobody starts it any more");
    drop(kept);
}

#[tokio::test]
async fn other_times_are_no_other_process() {
    let fixture = Fixture::new();
    let mut value = provider(&fixture);
    let (providers, client) = registered(&json!({ "a": value, "b": value }));
    let pid = ask(&client, &fixture.url("/pid")).await;
    value["localService"]["idleStopMs"] = json!(60_000);
    let changes = reload(&providers, &json!({ "a": value }));
    assert_eq!(
        (changes.changed, changes.removed),
        (vec!["a".to_owned()], vec!["b".to_owned()])
    );
    assert_eq!(ask(&client, &fixture.url("/pid")).await, pid);
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_request_on_its_way_to_what_is_replaced_is_served() {
    let (old, new) = (Fixture::new(), Fixture::new());
    let (providers, mut client) = registered(&json!({ "a": provider(&old) }));
    // Resolved, and not polled yet: cold here, and warm below.
    let on_its_way = client.call(get(&old.url("/hello")));
    let resolved = providers.resolve(&get(&old.url("/hello"))).unwrap();
    drop(resolved.acquire().await.unwrap());
    let warm = client.call(get(&old.url("/hello")));
    reload(&providers, &json!({ "a": provider(&new) }));
    old.is_gone().await;
    for late in [on_its_way, warm] {
        let response = within("an answer", late).await.unwrap();
        assert_eq!(text(response.into_body()).await.unwrap(), "hello");
    }
    drop(resolved);
    // The last of them to be dropped stops the server, without a call to `stop()`.
    old.is_gone().await;
    assert_eq!(ask(&client, &new.url("/hello")).await, "hello");
}

#[tokio::test]
async fn a_corrected_configuration_ends_the_start_that_requests_wait_for() {
    let old = Fixture::new().with("--loading", 600_000);
    let new = Fixture::on(old.port());
    let (providers, client) = registered(&json!({ "a": provider(&old) }));
    let kept = service(&providers, "a");
    let waits = waiting(&kept).await;
    eventually("it has been started", || old.starts().len() == 1).await;

    reload(&providers, &json!({ "a": provider(&new) }));
    assert!(is_alive(old.starts()[0]), "nothing has asked for the other");
    assert_eq!(ask(&client, &new.url("/hello")).await, "hello");
    let lease = within("the corrected start", waits).await.unwrap();
    assert_eq!((old.starts().len(), new.starts().len()), (1, 1));
    assert!(!is_alive(old.starts()[0]));
    // The service that was kept stands for the corrected one from now on.
    drop(lease);
    drop(within("a lease", kept.acquire()).await.unwrap());
    assert_eq!((old.starts().len(), new.starts().len()), (1, 1));
}

#[tokio::test]
async fn a_start_ends_once_its_successor_with_another_url_is_asked_for() {
    let old = Fixture::new().with("--loading", 600_000);
    let new = Fixture::new();
    let (providers, client) = registered(&json!({ "a": provider(&old) }));
    let waits = waiting(&service(&providers, "a")).await;
    eventually("it has been started", || old.starts().len() == 1).await;

    reload(&providers, &json!({ "a": provider(&new) }));
    assert!(is_alive(old.starts()[0]), "nothing has asked for the other");
    assert_eq!(ask(&client, &new.url("/hello")).await, "hello");
    let error = within("its end", waits).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");
    old.is_gone().await;
    assert_eq!(old.starts().len(), 1);
}

#[tokio::test]
async fn a_start_that_has_left_the_file_ends_once_another_one_needs_its_address() {
    let gone = Fixture::new().with("--loading", 600_000);
    let other = Fixture::on(gone.port());
    let (providers, client) = registered(&json!({ "gone": provider(&gone) }));
    let waits = waiting(&service(&providers, "gone")).await;
    eventually("it has been started", || gone.starts().len() == 1).await;

    reload(&providers, &json!({ "other": provider(&other) }));
    assert!(is_alive(gone.starts()[0]), "nothing needs its address");
    assert_eq!(ask(&client, &other.url("/hello")).await, "hello");
    let error = within("its end", waits).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Stopped { .. }), "{error}");
    assert!(!is_alive(gone.starts()[0]));
}

#[tokio::test]
async fn a_request_that_waits_for_a_start_that_is_replaced_is_served() {
    let old = Fixture::new().with("--loading", 300);
    let new = Fixture::new();
    let (providers, _client) = registered(&json!({ "a": provider(&old) }));
    let next = waiting(&service(&providers, "a")).await;
    eventually("it has been started", || old.starts().len() == 1).await;
    reload(&providers, &json!({ "a": provider(&new) }));
    let lease = within("the start", next).await.unwrap();
    assert_eq!(old.starts().len(), 1, "it went on");
    drop(lease);
    old.is_gone().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_a_file_is_edited_again_and_again() {
    let one = Fixture::new();
    let two = Fixture::on(one.port());
    let files = [&one, &two].map(|fixture| json!({ "a": provider(fixture) }));
    let (providers, client) = registered(&files[0]);
    let url = one.url("/hello");
    let mut senders = JoinSet::new();
    for _ in 0..4 {
        let (client, url) = (client.clone(), url.clone());
        senders.spawn(async move {
            for _ in 0..25 {
                let response = send(&client, get(&url)).await?;
                assert_eq!(text(response.into_body()).await?, "hello");
            }
            Ok::<_, BoxError>(())
        });
    }
    let mut reloads = 0;
    while !senders.is_empty() {
        reloads += 1;
        reload(&providers, &files[reloads % 2]);
        tokio::time::sleep(ms(7)).await;
        while let Some(sender) = senders.try_join_next() {
            sender.unwrap().expect("every request is served");
        }
    }
    assert!(reloads > 1);
}

#[tokio::test]
async fn a_registry_that_is_shut_down_takes_no_file() {
    let registry = Registry::new();
    registry.shutdown().await;
    let fixture = Fixture::new();
    let refused = read(&json!({ "a": provider(&fixture) })).register(&registry);
    let kind = |error: &Error| error.kind().clone();
    let error = refused.unwrap_err();
    assert!(
        matches!(kind(&error), ErrorKind::ShutDown { .. }),
        "{error}"
    );
}

#[cfg(feature = "reqwest")]
#[tokio::test]
async fn reqwest_is_served_by_the_same_file() {
    let fixture = Fixture::new();
    let (providers, _client) = registered(&json!({ "a": provider(&fixture) }));
    let client = EnsureLocalServiceLayer::new(providers).layer(reqwest::Client::new());
    let url = format!("http://localhost:{}/hello", fixture.port());
    let response = send(&client, crate::reqwest_client::get(&url))
        .await
        .unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_eq!(fixture.starts().len(), 1);
}
