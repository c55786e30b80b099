use super::*;

#[test]
fn the_longest_base_url_wins_by_whole_segments() {
    let at = |url: &str| json!({ "baseUrl": url, "localService": { "command": "/bin/false" } });
    let providers = registered(json!({
        "root": at("http://127.0.0.1:9320"),
        "v1": at("http://localhost:9320/v1/"),
        "deep": at("http://127.0.0.1:9320/v1/deep/er"),
        "off": { "baseUrl": "http://127.0.0.1:9320/v1/off" },
        "named": {
            "baseUrl": "https://gpu.lan/v1",
            "localService": {
                "command": "/bin/false", "healthUrl": "http://127.0.0.1:9321/health"
            },
        },
    }));
    for (url, service) in [
        ("http://127.0.0.1:9320", Some("root")),
        ("http://[::1]:9320/?q=/v1", Some("root")),
        ("http://localhost:9320/v10/x", Some("root")),
        ("HTTP://LOCALHOST:9320/v1", Some("v1")),
        ("http://0.0.0.0:9320/v1/", Some("v1")),
        ("http://127.0.0.1:9320/v1?x", Some("v1")),
        ("http://127.0.0.1:9320/v1/chat/completions", Some("v1")),
        ("http://127.0.0.1:9320/v1/deep", Some("v1")),
        ("http://127.0.0.1:9320/v1/deep/er", Some("deep")),
        ("http://127.0.0.1:9320/v1/deep/er/a/b", Some("deep")),
        ("http://127.0.0.1:9320/v1/deep/err", Some("v1")),
        ("http://127.0.0.1:9320/v1/off/x", None),
        ("http://127.0.0.1:9320/v1/offset", Some("v1")),
        ("https://GPU.lan:443/v1/chat", Some("named")),
        ("https://gpu.lan/v2", None),
        ("http://gpu.lan/v1", None),
        ("https://127.0.0.1:9320/v1", None),
        ("http://127.0.0.1:9322/v1", None),
        ("/v1", None),
    ] {
        assert_eq!(service_for(&providers, url).as_deref(), service, "{url}");
    }
}

#[test]
fn of_two_with_one_base_url_the_first_that_can_be_started_wins() {
    let remote = json!({ "baseUrl": "http://127.0.0.1:9323/v1" });
    let providers = registered(json!({ "a": remote, "b": local(9323), "c": local(9323) }));
    let service = service_for(&providers, "http://127.0.0.1:9323/v1/chat");
    assert_eq!(service.as_deref(), Some("b"));
}

#[test]
fn a_thousand_providers_are_each_found() {
    let id = |n: u16| format!("p{n:04}");
    let all: serde_json::Map<_, _> = (0..1000u16)
        .map(|n| {
            // Some share an origin, and differ by path.
            let base = format!("http://127.0.0.1:{}/of/{n}", 20_000 + n / 4);
            let local = json!({ "command": "/bin/false", "args": [n.to_string()] });
            (id(n), json!({ "baseUrl": base, "localService": local }))
        })
        .collect();
    let providers = registered(Value::Object(all));
    for n in 0..1000 {
        let url = format!("http://localhost:{}/of/{n}/chat", 20_000 + n / 4);
        assert_eq!(service_for(&providers, &url), Some(id(n)), "{url}");
    }
    assert_eq!(service_for(&providers, "http://localhost:20000/of"), None);
    assert_eq!(service_for(&providers, "http://localhost:20000/of/4"), None);
}

#[test]
fn to_resolve_a_url_allocates_nothing() {
    let providers = registered(json!({ "a": local(9326), "b": local(9327) }));
    for url in [
        "http://127.0.0.1:9326/v1/chat",
        "https://Other.example:9326/v1",
    ] {
        let request = http::Request::get(url).body(()).unwrap();
        let resolve = || drop(providers.resolve(&request));
        assert_eq!(allocation_counter::measure(resolve).count_total, 0, "{url}");
    }
}

#[test]
fn a_model_is_found_by_its_provider() {
    let value = json!({
        "models": { "providers": { "inferrs": local(9324) } },
        "agents": { "defaults": { "model": "inferrs/google/gemma-4-E2B-it" } },
    });
    let providers = try_registered(file(value)).unwrap();
    let found = |model: &str| {
        let (provider, model) = providers.resolve_model(model)?;
        Some((provider.id, model))
    };
    let expected = ("inferrs".to_owned(), "google/gemma-4-E2B-it".to_owned());
    assert_eq!(found("inferrs/google/gemma-4-E2B-it"), Some(expected));
    for model in ["other/gemma", "inferrs", "inferrs/", "/gemma", ""] {
        assert_eq!(found(model), None, "{model:?}");
    }
    let (provider, model) = providers.primary_model().unwrap();
    assert!(provider.service.is_some());
    assert_eq!(model, "google/gemma-4-E2B-it");
}

#[test]
fn without_a_default_there_is_no_primary_model() {
    for model in [json!(null), json!({}), json!({ "primary": "elsewhere/x" })] {
        let value = json!({
            "models": { "providers": { "a": local(9325) } },
            "agents": { "defaults": { "model": model } },
        });
        let providers = try_registered(file(value)).unwrap();
        assert!(providers.primary_model().is_none(), "{model}");
    }
}
