use super::*;

/// The field of the only problem of a provider, and its text.
fn only(value: Value) -> (String, String) {
    let (places, text) = refused(json!({ "it": value }));
    assert_eq!(places.len(), 1, "{text}");
    assert_eq!(places[0].0, "it");
    (places[0].1.clone(), text)
}

fn with(field: &str, value: Value) -> Value {
    let mut provider = local(9310);
    provider[field] = value;
    provider
}

#[test]
fn each_problem_names_its_field_and_what_to_do() {
    let mut relative = local(9310);
    relative["localService"]["command"] = json!("llama-server");
    for (provider, field, says) in [
        (relative, "localService.command", "in full"),
        (with("baseUrl", json!(null)), "baseUrl", "is missing"),
        (with("baseUrl", json!(" ")), "baseUrl", "is missing"),
        (json!({ "baseUrl": "v1" }), "baseUrl", "not a URL"),
        (with("baseUrl", json!("ftp://h/")), "baseUrl", "http://"),
        (with("apiKey", json!({ "id": "x" })), "apiKey", "quotes"),
        (with("apiKey", json!("a\nb")), "apiKey", "key"),
        (
            with("models", json!([{ "id": "a", "baseUrl": "b" }])),
            "models[].baseUrl",
            "not a URL",
        ),
        (
            with("timeoutSeconds", json!(0)),
            "timeoutSeconds",
            "more than 0",
        ),
        (
            with("timeoutSeconds", json!(-1)),
            "timeoutSeconds",
            "more than 0",
        ),
        (
            with("timeoutSeconds", json!(1e300)),
            "timeoutSeconds",
            "a year",
        ),
        (with("headers", json!({ "a b": "c" })), "headers", "name"),
        (
            with("headers", json!({ "x-a": "c\n" })),
            "headers.x-a",
            "line breaks",
        ),
        (
            with("headers", json!({ "x-a": 1 })),
            "headers.x-a",
            "quotes",
        ),
    ] {
        let (field_named, text) = only(provider);
        assert_eq!(field_named, field);
        assert!(text.contains(says), "{field}: {text}");
    }
}

#[test]
fn what_an_auth_lacks_is_named() {
    for (auth, says) in [
        (json!({ "mode": "header", "value": "a" }), "`headerName`"),
        (json!({ "mode": "header", "headerName": "a" }), "`value`"),
        (json!({ "mode": "authorization-bearer" }), "`token`"),
    ] {
        let (field_named, text) = only(with("request", json!({ "auth": auth })));
        assert_eq!(field_named, "request.auth");
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn all_problems_of_a_file_are_reported_at_once() {
    let mut two = local(9311);
    two["localService"]["command"] = json!("x");
    two["localService"]["cwd"] = json!("${NO_CWD}");
    two["localService"]["readyTimeoutMs"] = json!(0);
    let (places, _) = refused(json!({
        "a": { "baseUrl": "${NONE}", "apiKey": "${NO_KEY}" },
        "b": local(9312),
        "c": two,
    }));
    let places: Vec<_> = places
        .iter()
        .map(|(id, field)| (id.as_str(), field.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            ("a", "baseUrl"),
            ("a", "apiKey"),
            ("c", "localService.cwd"),
            ("c", "localService.command"),
            ("c", "localService.readyTimeoutMs"),
        ]
    );
}

#[test]
fn a_default_model_that_cannot_be_found_out_is_none() {
    let value = json!({ "agents": { "defaults": { "model": "${NO_MODEL}" } } });
    let providers = try_registered(file(value)).unwrap();
    assert!(providers.primary_model().is_none());
    let warnings = providers.warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].field, "agents.defaults.model");
    assert!(warnings[0].message.contains("NO_MODEL"), "{warnings:?}");
}

#[test]
fn no_problem_shows_a_secret() {
    let mut value = local(9313);
    value["apiKey"] = json!("sk-secret\n");
    value["headers"] = json!({ "x-a": "sk-secret\n" });
    value["localService"]["env"] = json!({ "A": "sk-secret\u{0}" });
    let (places, text) = refused(json!({ "a": value }));
    assert!(places.len() >= 2, "{text}");
    assert!(!text.contains("sk-secret"), "{text}");
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let registry = Registry::new();
    let config = providers(json!({ "a": local(9314), "b": { "baseUrl": "v1" } }));
    drop(register(config, &registry).unwrap_err());
    assert!(registry.services().is_empty());
}
