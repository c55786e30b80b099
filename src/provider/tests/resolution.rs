use std::time::Duration;

use tokio::time::Instant;

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

/// So many providers, with the path `/of/N`.
fn many(count: u16, port: impl Fn(u16) -> u16) -> Providers {
    let provider = |n: u16| {
        let base = format!("http://127.0.0.1:{}/of/{n}", port(n));
        let local = json!({ "command": "/bin/false", "args": [n.to_string()] });
        let value = json!({ "baseUrl": base, "localService": local });
        (format!("p{n:04}"), value)
    };
    registered(Value::Object((0..count).map(provider).collect()))
}

#[test]
fn a_thousand_providers_are_each_found() {
    let id = |n: u16| format!("p{n:04}");
    // Some share an origin, and differ by path.
    let providers = many(1000, |n| 20_000 + n / 4);
    for n in 0..1000 {
        let url = format!("http://localhost:{}/of/{n}/chat", 20_000 + n / 4);
        assert_eq!(service_for(&providers, &url), Some(id(n)), "{url}");
    }
    assert_eq!(service_for(&providers, "http://localhost:20000/of"), None);
    assert_eq!(service_for(&providers, "http://localhost:20000/of/4"), None);
}

/// The shortest time of many, in which nothing else had the processor.
fn shortest(mut look_up: impl FnMut()) -> Duration {
    let times = (0..200).map(|_| {
        let begun = Instant::now();
        (0..50).for_each(|_| look_up());
        begun.elapsed()
    });
    times.min().unwrap()
}

#[test]
fn a_thousand_providers_cost_no_scan() {
    // Apart by origin, and apart by path.
    for port in [|n| 21_000 + n, |_| 21_000] {
        let times = [1, 1000].map(|count| {
            let providers = many(count, port);
            let request = http::Request::get("http://127.0.0.1:21000/of/0/chat")
                .body(())
                .unwrap();
            let last = format!("p{:04}/gemma", count - 1);
            let by_url = shortest(|| drop(providers.resolve(&request).unwrap()));
            let by_model = shortest(|| drop(providers.resolve_model(&last).unwrap()));
            (by_url, by_model)
        });
        let [one, thousand] = times;
        // A scan takes 35 times as long and more.
        assert!(thousand.0 < one.0 * 10, "by URL: {times:?}");
        assert!(thousand.1 < one.1 * 10, "by model: {times:?}");
    }
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
fn an_id_may_have_slashes_and_the_longest_wins() {
    let providers = registered(json!({
        "hub": local(9328), "hub/google": local(9329), "/": local(9334),
    }));
    for (model, id, rest) in [
        ("hub/gemma", "hub", "gemma"),
        ("hub/google/gemma", "hub/google", "gemma"),
        ("hub/google/gemma/4b", "hub/google", "gemma/4b"),
        ("hub/googles/gemma", "hub", "googles/gemma"),
        ("hub/google/", "hub", "google/"),
        ("//gemma", "/", "gemma"),
    ] {
        let (provider, found) = providers.resolve_model(model).unwrap();
        assert_eq!((provider.id.as_str(), found.as_str()), (id, rest));
    }
    assert!(providers.resolve_model("hub").is_none());
    assert!(providers.resolve_model("google/gemma").is_none());
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

#[test]
fn a_port_is_chosen_for_a_provider_and_its_url_has_it() {
    let providers = registered(json!({ "any": {
        "baseUrl": "http://127.0.0.1:${port}/v1",
        "api": "ollama",
        "localService": { "command": "/bin/false", "args": ["--port", "${port}"] },
    } }));
    let provider = providers.get("any").unwrap();
    let port = provider.base_url.port_u16().unwrap();
    assert!((20_000..30_000).contains(&port), "{port}");
    let service = provider.service.unwrap();
    assert_eq!(*service.base_url(), provider.base_url);
    assert_eq!(args_of(&service)[1], port.to_string());
    let url = format!("http://127.0.0.1:{port}/v1/chat/completions");
    assert_eq!(service_for(&providers, &url).as_deref(), Some("any"));
}

#[test]
fn an_alias_stands_for_a_model_where_no_provider_has_that_name() {
    let config = file(json!({
        "models": { "providers": { "llama": local(9324), "big": local(9325) } },
        "agents": { "defaults": {
            "model": "Small",
            "models": {
                "llama/gemma": { "alias": " small " },
                "big/gpt": { "alias": "llama/big" },
                "big/other": { "params": { "temperature": 1 } },
                "gone/x": { "alias": "gone" },
                "big/odd": "odd",
            },
        } },
    }));
    let providers = try_registered(config).unwrap();
    let resolved = |name: &str| {
        let (provider, model) = providers.resolve_model(name)?;
        Some(format!("{} has {model}", provider.id))
    };
    assert_eq!(resolved("small").as_deref(), Some("llama has gemma"));
    assert_eq!(resolved("SMALL").as_deref(), Some("llama has gemma"));
    // A provider has that name.
    assert_eq!(resolved("llama/big").as_deref(), Some("llama has big"));
    assert_eq!(resolved("gone"), None);
    assert_eq!(resolved("odd"), None);
    let (primary, model) = providers.primary_model().unwrap();
    assert_eq!((&*primary.id, &*model), ("llama", "gemma"));
    let aliases = providers.aliases();
    assert_eq!(aliases.len(), 3, "{aliases:?}");
    assert!(aliases.contains(&("small".to_owned(), "llama/gemma".to_owned())));
}

#[test]
fn what_is_to_be_started_ahead_is_known_in_its_order() {
    let with = |preload: Value| {
        file(json!({ "models": {
            "providers": {
                "one": local(9326), "two": local(9327), "far": { "baseUrl": "http://gpu.lan/v1" },
            },
            "preload": preload,
        } }))
    };
    let providers = try_registered(with(json!(["two", "one"]))).unwrap();
    let names: Vec<_> = providers.preload();
    let names: Vec<_> = names.iter().map(LocalService::name).collect();
    assert_eq!(names, ["two", "one"]);
    for wrong in ["far", "none"] {
        let error = try_registered(with(json!(["one", wrong]))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("preload") && text.contains(wrong), "{text}");
    }
}
