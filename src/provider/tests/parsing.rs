use std::time::Duration;

use super::*;

fn everything() -> Value {
    json!({
        "gateway": { "port": 18789 },
        "models": {
            "mode": "merge",
            "pricing": 1,
            "providers": { "llama": {
                "baseUrl": "http://localhost:${PORT}/v1/",
                "apiKey": "${KEY}",
                "api": "openai-completions",
                "authHeader": true,
                "timeoutSeconds": 300,
                "headers": { "X-Team": "blue-secret", "X-Key": { "source": "env", "id": "KEY" } },
                "localService": {
                    "command": "${BIN}/llama-server",
                    "args": ["--port", "${PORT}", "--template", "$${KEY} ${other}"],
                    "env": { "TOKEN": "t-${KEY}" },
                    "readyTimeoutMs": 90000,
                },
                "models": [{ "id": "gemma", "name": "Gemma", "contextWindow": 8192, "cost": {} }],
            } },
        },
        "agents": { "defaults": {
            "model": { "primary": "llama/gemma", "fallbacks": [] }, "workspace": "~/x"
        } },
    })
}

#[test]
fn all_of_a_file_is_there_once_it_is_registered() {
    let providers = try_registered(file(everything())).unwrap();
    let provider = providers.get("llama").unwrap();
    assert_eq!(provider.id, "llama");
    assert_eq!(provider.base_url, "http://localhost:9300/v1/");
    assert_eq!(provider.api_key.as_deref(), Some("sk-from-env"));
    assert_eq!(provider.api.as_deref(), Some("openai-completions"));
    assert_eq!(provider.timeout, Duration::from_secs(300));
    assert_eq!(provider.headers["x-team"], "blue-secret");
    assert_eq!(provider.headers["x-key"], "sk-from-env");
    assert_eq!(provider.models[0].id, "gemma");
    assert_eq!(provider.models[0].name.as_deref(), Some("Gemma"));

    let service = provider.service.unwrap();
    assert_eq!(service.name(), "llama");
    let expected = LocalServiceConfig::new("/opt/bin/llama-server")
        .args(["--port", "9300", "--template", "${KEY} ${other}"])
        .env("TOKEN", "t-sk-from-env");
    assert!(is_started_as(&service, &expected));
    let headers = &service.settings().target.headers;
    assert_eq!(headers["authorization"], "Bearer sk-from-env", "of probes");
}

#[test]
fn a_clone_is_the_same_handle() {
    let providers = try_registered(file(everything())).unwrap();
    assert_eq!(providers.ids(), ["llama"]);
    let clone = providers.clone();
    drop(providers);
    let service = service_for(&clone, "http://localhost:9300/v1");
    assert_eq!(service.as_deref(), Some("llama"));
}

#[test]
fn one_file_can_be_registered_twice() {
    let config = file(everything());
    let [one, other] = [config.clone(), config].map(|it| try_registered(it).unwrap());
    assert_eq!(one.ids(), other.ids());
}

#[test]
fn secrets_are_never_shown() {
    let config = file(everything());
    let providers = try_registered(config.clone()).unwrap();
    let provider = providers.get("llama").unwrap();
    let shown =
        format!("{config:?} {config:#?} {providers:?} {providers:#?} {provider:?} {provider:#?}");
    assert!(shown.contains("llama") && shown.contains("x-team"));
    for secret in ["sk-from-env", "blue-secret"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn without_a_time_a_start_and_two_minutes_are_allowed() {
    let timeout = |value| registered(json!({ "a": value })).get("a").unwrap().timeout;
    assert_eq!(timeout(local(9301)), Duration::from_secs(240));
    let mut slow = local(9302);
    slow["localService"]["readyTimeoutMs"] = json!(600_000);
    assert_eq!(timeout(slow), Duration::from_secs(720));
    let remote = json!({ "baseUrl": "https://api.example.com" });
    assert_eq!(timeout(remote), Duration::from_secs(120));
}

#[test]
fn what_openclaw_has_built_in_is_skipped() {
    // The file does not say where they are, nor has it to be possible to have their keys.
    let providers = registered(json!({
        "anthropic": { "baseUrl": "", "apiKey": { "source": "exec", "id": "vault" } },
        "llama": local(9304),
        "openai": { "apiKey": "${UNSET_KEY}", "timeoutSeconds": 300, "models": [] },
    }));
    assert_eq!(providers.ids(), ["llama"]);
    assert!(providers.get("openai").is_none());
    assert!(providers.resolve_model("openai/gpt").is_none());
    assert!(providers.resolve_model("llama/gemma").is_some());
}

#[test]
fn unknown_keys_of_a_local_service_are_refused_by_name() {
    let mut value = local(9303);
    value["localService"]["idleStop"] = json!(5);
    let written = json!({ "models": { "providers": { "a": value } } });
    let error = serde_json::from_value::<ProvidersConfig>(written).unwrap_err();
    assert!(error.to_string().contains("`idleStop`"), "{error}");
}

#[cfg(feature = "json5")]
mod json5 {
    use super::*;
    use crate::error::Problem;

    fn problem(text: &str) -> (String, String, String) {
        let error = ProvidersConfig::from_json5(text).unwrap_err();
        let ErrorKind::InvalidConfig { problems } = error.kind() else {
            panic!("another kind: {error}");
        };
        let Problem {
            service,
            field,
            message,
            ..
        } = problems[0].clone();
        (service, field, message)
    }

    #[test]
    fn a_mistake_is_reported_with_its_provider_path_line_and_column() {
        let text = "{ models: { providers: {\n  llama: {\n    localService: {\n      \
                    command: '/bin/x',\n      idleStop: 5,\n    },\n  },\n} } }";
        let (service, field, message) = problem(text);
        assert_eq!(service, "llama");
        assert!(
            field.starts_with("models.providers.llama.localService"),
            "{field}"
        );
        assert!(message.contains("`idleStop`"), "{message}");
        assert!(message.contains("line 5 column"), "{message}");
    }

    #[test]
    fn a_wrong_type_is_reported_with_the_path_of_its_field() {
        let text =
            "{ models: { providers: {\n a: { baseUrl: 'http://h', timeoutSeconds: 'x' } } } }";
        let (service, field, message) = problem(text);
        assert_eq!(service, "a");
        assert_eq!(field, "models.providers.a.timeoutSeconds");
        assert!(message.contains("line 2 column"), "{message}");
        let (_, field, _) = problem("{ agents: { defaults: { model: 5 } } }");
        assert_eq!(field, "agents.defaults.model");
    }

    #[test]
    fn broken_text_is_reported_with_line_and_column() {
        for text in ["{\n  models: [ }", "{}\n}", "\n'open", ""] {
            let (_, field, message) = problem(text);
            assert_eq!(field, "syntax");
            assert!(
                message.contains("line ") && message.contains("column "),
                "{text:?}: {message}"
            );
        }
    }

    #[test]
    fn a_secret_of_a_wrong_type_is_not_quoted() {
        let text = "{ models: { providers: { a: { baseUrl: 'http://h', apiKey: 90210 } } } }";
        let error = try_registered(ProvidersConfig::from_json5(text).unwrap()).unwrap_err();
        assert!(error.to_string().contains("`apiKey` is neither"), "{error}");
        assert!(!error.to_string().contains("90210"), "{error}");
    }

    #[test]
    fn the_sample_files_can_be_read() {
        for path in sample_files() {
            let text = std::fs::read_to_string(&path).unwrap();
            let config = ProvidersConfig::from_json5(&text).unwrap();
            let plan = Plan::of(
                config,
                &|_: &str| Some("/sample".to_owned()),
                &Capacities::default(),
            );
            let registered =
                plan.and_then(|plan| Providers::new(plan, &Registry::new(), Capacities::default()));
            let providers =
                registered.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let (provider, model) = providers.primary_model().unwrap();
            assert!(provider.service.is_some(), "{}", path.display());
            assert!(provider.unavailable.is_none(), "{}", path.display());
            assert!(
                provider.models.iter().any(|it| it.id == model),
                "{}",
                path.display()
            );
        }
    }
}
