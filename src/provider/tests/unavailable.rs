//! What a file cannot be blamed for, and what people write in it: one provider that cannot be used, the
//! file's own variables, other spellings.

use std::panic;

use super::*;
use crate::launch::InheritEnv;

fn with(mut provider: Value, field: &str, value: Value) -> Value {
    provider[field] = value;
    provider
}

fn args(port: u16, arg: &str) -> Value {
    let mut provider = local(port);
    provider["localService"]["args"] = json!(["--arg", arg]);
    provider
}

fn launched(providers: &Providers, id: &str) -> Vec<String> {
    args_of(&providers.get(id).unwrap().service.unwrap())
}

/// Without those that say that `/bin/false` is missing on this machine.
fn warnings(providers: &Providers) -> Vec<(String, String, String)> {
    let all = providers.warnings().into_iter();
    let all = all.filter(|it| it.field != "command");
    all.map(|it| (it.service, it.field, it.message)).collect()
}

/// Providers with what cannot be found out, the field that has it, and a part of what is said of it.
fn odd_providers() -> [(Value, &'static str, &'static str); 10] {
    [
        (args(9360, "${UNSET}"), "localService.args", "$${UNSET}"),
        (with(local(9360), "api", json!("${UNSET}")), "api", "UNSET"),
        (
            with(local(9360), "apiKey", json!("${UNSET}")),
            "apiKey",
            "in `env`",
        ),
        (
            with(local(9360), "apiKey", json!("$UNSET")),
            "apiKey",
            "UNSET",
        ),
        (
            with(
                local(9360),
                "apiKey",
                json!({ "source": "env", "id": "UNSET" }),
            ),
            "apiKey",
            "UNSET",
        ),
        (
            with(
                local(9360),
                "apiKey",
                json!({ "source": "exec", "id": "vault" }),
            ),
            "apiKey",
            "\"exec\"",
        ),
        (
            with(local(9360), "headers", json!({ "x-a": "${UNSET}" })),
            "headers.x-a",
            "UNSET",
        ),
        (
            with(
                local(9360),
                "request",
                json!({ "headers": { "x-a": { "source": "store", "id": "A" } } }),
            ),
            "request.headers.x-a",
            "\"store\"",
        ),
        (
            with(
                local(9360),
                "request",
                json!({ "auth": { "mode": "mtls" } }),
            ),
            "request.auth.mode",
            "mtls",
        ),
        (
            json!({ "baseUrl": "http://127.0.0.1:9360/v1", "apiKey": "${UNSET}" }),
            "apiKey",
            "UNSET",
        ),
    ]
}

#[test]
fn what_cannot_be_found_out_makes_one_provider_unavailable_and_no_other() {
    for (odd, field, says) in odd_providers() {
        let providers = registered(json!({ "odd": odd, "well": local(9361) }));
        assert_eq!(providers.ids(), ["odd", "well"]);
        let warned = warnings(&providers);
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert_eq!((&*warned[0].0, &*warned[0].1), ("odd", field));
        assert!(warned[0].2.contains(says), "{warned:?}");

        let well = providers.get("well").unwrap();
        assert!(well.unavailable.is_none() && well.service.is_some());
        assert_eq!(providers.shared.registry.services().len(), 1);
    }
}

#[tokio::test]
async fn who_asks_for_an_unavailable_provider_gets_its_own_error() {
    for (odd, field, _) in odd_providers() {
        let providers = registered(json!({ "odd": odd, "well": local(9361) }));
        let (odd, model) = providers.resolve_model("odd/any").unwrap();
        assert_eq!(model, "any");
        let error = odd.unavailable.as_ref().unwrap();
        let text = error.to_string();
        assert!(
            text.starts_with("provider `odd` ") && text.contains(field),
            "{text}"
        );
        assert_eq!(error.service(), "odd");
        // A request for its URL fails with that, and does not pass through.
        let service = service_for(&providers, "http://127.0.0.1:9360/v1/chat");
        assert_eq!(service.as_deref(), Some("odd"));
        let failed = odd.service.unwrap().acquire().await.unwrap_err();
        assert_eq!(failed.to_string(), text);
        assert!(matches!(failed.kind(), ErrorKind::InvalidConfig { .. }));
    }
}

#[tokio::test]
async fn a_provider_whose_url_cannot_be_found_out_is_asked_nowhere_else() {
    let providers = registered(json!({
        "a": { "baseUrl": "${UNSET}" },
        "b": { "baseUrl": "http://127.0.0.1:${UNSET}/v1", "localService": { "command": "/bin/false" } },
    }));
    for id in ["a", "b"] {
        let provider = providers.get(id).unwrap();
        assert_eq!(provider.base_url.host(), Some("unavailable.invalid"));
        let url = format!("{}/chat", provider.base_url);
        assert_eq!(service_for(&providers, &url).as_deref(), Some(id));
        let error = provider.service.unwrap().start().await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("`baseUrl` needs the variable UNSET"),
            "{error}"
        );
    }
}

#[test]
fn a_provider_that_can_be_used_wins_over_an_unavailable_one_with_its_url() {
    let url = json!({ "baseUrl": "http://127.0.0.1:9362/v1" });
    let providers = registered(json!({
        "a": with(url.clone(), "apiKey", json!("${UNSET}")), "b": url,
    }));
    assert_eq!(
        service_for(&providers, "http://127.0.0.1:9362/v1/chat"),
        None
    );
}

#[test]
fn a_reload_makes_it_available_and_unavailable() {
    let registry = Registry::new();
    let handle = register(providers(json!({ "a": args(9363, "${UNSET}") })), &registry).unwrap();
    assert_eq!(
        reload(&handle, json!({ "a": args(9363, "${UNSET}") })).kept,
        ["a"]
    );
    assert_eq!(
        reload(&handle, json!({ "a": args(9363, "x") })).changed,
        ["a"]
    );
    assert!(handle.get("a").unwrap().unavailable.is_none());
    assert!(warnings(&handle).is_empty());
    assert_eq!(registry.services().len(), 1);
    assert_eq!(
        reload(&handle, json!({ "a": args(9363, "${UNSET}") })).changed,
        ["a"]
    );
    assert!(registry.services().is_empty());
}

#[test]
fn the_file_has_variables_of_its_own() {
    let value = |env: Value| json!({ "env": env, "models": { "providers": { "a": args(9364, "${A}-${PORT}") } } });
    let launched = |env: Value| {
        let providers = try_registered(file(value(env))).unwrap();
        launched(&providers, "a")[1].clone()
    };
    assert_eq!(launched(json!({ "vars": { "A": "b" } })), "b-9300");
    assert_eq!(launched(json!({ "A": "b" })), "b-9300");
    assert_eq!(
        launched(json!({ "A": "direct", "vars": { "A": "b" } })),
        "direct-9300"
    );
    // Your program's own win, and may be named in the file's.
    assert_eq!(
        launched(json!({ "A": "${KEY}", "PORT": "1" })),
        "sk-from-env-9300"
    );
    // What is no variable is nobody's mistake.
    let odd = json!({ "A": "b", "shellEnv": { "enabled": true }, "C": 5, "D E": "f" });
    assert_eq!(launched(odd), "b-9300");
    let providers = try_registered(file(value(json!({ "vars": { "A": " " } })))).unwrap();
    assert!(providers.get("a").unwrap().unavailable.is_some());
}

#[test]
fn the_local_server_finds_the_variables_of_the_file_in_its_environment() {
    let env = json!({ "vars": {
        "TLS_TEST_OF_FILE": "file", "TLS_TEST_OF_SERVICE": "file", "PATH": "file",
    } });
    let mut all = local(9365);
    all["localService"]["env"] = json!({ "TLS_TEST_OF_SERVICE": "service" });
    let mut few = local(9366);
    few["localService"]["inheritEnv"] = json!(["HOME"]);
    let value = json!({ "env": env, "models": { "providers": { "all": all, "few": few } } });
    let providers = try_registered(file(value)).unwrap();
    let service = |id: &str| providers.get(id).unwrap().service.unwrap();
    let bare = LocalServiceConfig::new("/bin/false");
    let with_both = bare
        .clone()
        .env("TLS_TEST_OF_FILE", "file")
        .env("TLS_TEST_OF_SERVICE", "service");
    assert!(is_started_as(&service("all"), &with_both));
    let only = InheritEnv::Only(["HOME".to_owned()].into());
    assert!(is_started_as(&service("few"), &bare.inherit_env(only)));
}

#[test]
fn a_program_may_look_variables_up_itself_and_its_panic_is_one_that_is_unset() {
    let config = || providers(json!({ "a": args(9367, "${A}"), "b": args(9368, "${B}") }));
    let looked_up = |name: &str| match name {
        "A" => Some("own".to_owned()),
        _ => panic!("a look-up of {name} that fails"),
    };
    let quiet = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let config_with = config().with_variables(looked_up);
    let handle = config_with.register(&Registry::new()).unwrap();
    // The next reading looks them up in the same way.
    let changes = handle.reload(config()).unwrap();
    panic::set_hook(quiet);
    assert_eq!(changes.kept, ["a", "b"]);
    assert_eq!(launched(&handle, "a"), ["--arg", "own"]);
    let warned = warnings(&handle);
    assert_eq!((warned.len(), &*warned[0].0), (1, "b"));
    assert!(warned[0].2.contains("panicked"), "{warned:?}");

    handle
        .reload(config().with_variables(|name| Some(name.to_lowercase())))
        .unwrap();
    assert_eq!(launched(&handle, "b"), ["--arg", "b"]);
}

#[test]
fn the_home_folder_may_be_written_as_in_a_shell() {
    let mut value = args(9369, "~/models/a.gguf");
    value["localService"]["command"] = json!("~/bin/server");
    value["localService"]["cwd"] = json!("~");
    value["localService"]["env"] = json!({ "A": "~/b" });
    let config = providers(json!({ "a": value, "b": args(9370, "a~/~") }));
    let config = config.with_variables(|name| (name == "HOME").then(|| "/home/me/".to_owned()));
    let providers = config.register(&Registry::new()).unwrap();
    assert_eq!(launched(&providers, "a")[1], "/home/me/models/a.gguf");
    assert_eq!(launched(&providers, "b")[1], "a~/~");
    let service = providers.get("a").unwrap().service.unwrap();
    let expected = LocalServiceConfig::new("/home/me/bin/server")
        .args(["--arg", "/home/me/models/a.gguf"])
        .cwd("/home/me")
        // No path for sure.
        .env("A", "~/b");
    assert!(is_started_as(&service, &expected));
}

#[test]
fn of_another_users_home_folder_nobody_knows() {
    let mut value = local(9371);
    value["localService"]["command"] = json!("~other/bin/server");
    let (_, text) = refused(json!({ "a": value }));
    assert!(text.contains("not an absolute path"), "{text}");
}

#[test]
fn the_case_of_a_providers_id_does_not_matter() {
    let providers = registered(json!({
        "LM.Studio": local(9372), "a": local(9373), "A": local(9374),
    }));
    assert_eq!(providers.get("lm.studio").unwrap().id, "LM.Studio");
    let (provider, model) = providers.resolve_model("lm.STUDIO/Qwen/3").unwrap();
    assert_eq!((&*provider.id, &*model), ("LM.Studio", "Qwen/3"));
    assert_eq!(providers.get("A").unwrap().id, "A");
    assert_eq!(providers.get("a").unwrap().id, "a");
}

#[test]
fn a_model_may_have_a_url_and_an_api_of_its_own() {
    let models = json!([
        { "id": "same" },
        { "id": "headed", "headers": { "x-a": "model-${PORT}" } },
        { "id": "path", "baseUrl": "http://localhost:9375/anthropic", "api": "anthropic-messages" },
        { "id": "other", "baseUrl": "http://127.0.0.1:9376/v1" },
        { "id": "far", "baseUrl": "https://api.example.com/${PORT}" },
    ]);
    let providers = registered(json!({
        "a": with(with(local(9375), "api", json!("openai-completions")), "models", models),
        "b": local(9376),
    }));
    let (headed, _) = providers.resolve_model("a/headed").unwrap();
    assert_eq!(headed.headers["x-a"], "model-9300");
    assert!(!format!("{headed:?}").contains("model-9300"));
    let resolved = |model: &str| {
        let (provider, _) = providers.resolve_model(model).unwrap();
        let service = provider.service.map(|it| it.name().to_owned());
        (
            provider.base_url.to_string(),
            provider.api.unwrap(),
            service,
        )
    };
    let chat = || "openai-completions".to_owned();
    let named = |name: &str| Some(name.to_owned());
    let base = || "http://127.0.0.1:9375/v1".to_owned();
    assert_eq!(resolved("a/same"), (base(), chat(), named("a")));
    assert_eq!(resolved("a/unlisted"), (base(), chat(), named("a")));
    let url = "http://localhost:9375/anthropic".to_owned();
    assert_eq!(
        resolved("a/path"),
        (url, "anthropic-messages".into(), named("a"))
    );
    // The server at that URL serves the model.
    let url = "http://127.0.0.1:9376/v1".to_owned();
    assert_eq!(resolved("a/other"), (url, chat(), named("b")));
    let url = "https://api.example.com/9300".to_owned();
    assert_eq!(resolved("a/far"), (url, chat(), None));

    for (url, service) in [
        ("http://127.0.0.1:9375/anthropic/v1/messages", named("a")),
        ("http://127.0.0.1:9376/v1/chat", named("b")),
        ("https://api.example.com/9300/chat", None),
    ] {
        assert_eq!(service_for(&providers, url), service, "{url}");
    }
}

#[test]
fn requests_and_probes_have_the_headers_of_the_file() {
    let target = |provider: &Provider| provider.service.as_ref().unwrap().settings().target.clone();
    let request = |request: Value| {
        let provider = with(local(9377), "apiKey", json!("sk-of-provider"));
        let headers = json!({ "x-a": "provider", "authorization": "own" });
        let provider = with(with(provider, "headers", headers), "request", request);
        registered(json!({ "a": provider })).get("a").unwrap()
    };

    let plain = request(json!({ "headers": { "x-a": "request", "x-b": "$KEY" } }));
    assert_eq!(plain.headers["x-a"], "request");
    assert_eq!(plain.headers["x-b"], "sk-from-env");
    assert_eq!(target(&plain).headers, plain.headers);

    let bearer = request(json!({ "auth": { "mode": "authorization-bearer", "token": "${KEY}" } }));
    assert_eq!(bearer.api_key.as_deref(), Some("sk-from-env"));
    assert!(!bearer.headers.contains_key("authorization"));
    assert_eq!(
        target(&bearer).headers["authorization"],
        "Bearer sk-from-env"
    );
    assert!(target(&bearer).sends_key);

    let header =
        json!({ "mode": "header", "headerName": "X-Api-Key", "prefix": "k ", "value": "v" });
    let header = request(json!({ "auth": header }));
    assert_eq!(header.api_key, None);
    assert_eq!(header.headers["x-api-key"], "k v");
    assert!(!header.headers.contains_key("authorization"));
    assert_eq!(target(&header).headers, header.headers);
}

#[test]
fn a_key_is_rid_of_the_blanks_around_it_and_a_blank_one_is_none() {
    for (written, key) in [(" sk-a\n", Some("sk-a")), ("", None), (" \n", None)] {
        let value = with(local(9378), "apiKey", json!(written));
        let provider = registered(json!({ "a": value })).get("a").unwrap();
        assert_eq!(provider.api_key.as_deref(), key);
        let service = provider.service.unwrap();
        assert_eq!(service.settings().target.sends_key, key.is_some());
    }
}

#[test]
fn other_programs_spell_null_and_the_base_url_otherwise() {
    let mut value = local(9378);
    value["baseURL"] = value["baseUrl"].take();
    for key in ["models", "headers", "request", "apiKey", "timeoutSeconds"] {
        value[key] = json!(null);
    }
    let providers = registered(json!({ "a": value }));
    let provider = providers.get("a").unwrap();
    assert_eq!(provider.base_url, "http://127.0.0.1:9378/v1");
    assert!(provider.service.is_some());
    for value in [
        json!({ "models": null, "agents": null, "env": null }),
        json!({ "models": { "providers": null }, "agents": { "defaults": null } }),
    ] {
        assert!(try_registered(file(value)).unwrap().ids().is_empty());
    }
}

#[cfg(unix)]
#[test]
fn a_program_that_everybody_may_change_is_warned_of_and_used() {
    use std::{env, fs, os::unix::fs::PermissionsExt as _, process};
    let program = env::temp_dir().join(format!("tls-open-{}", process::id()));
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o777)).unwrap();
    let mut value = local(9379);
    value["localService"]["command"] = json!(program);
    let providers = registered(json!({ "a": value }));
    fs::remove_file(&program).unwrap();
    assert!(providers.get("a").unwrap().unavailable.is_none());
    let warnings = providers.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].to_string().starts_with("`a`: `command` names"),
        "{}",
        warnings[0]
    );
    assert!(warnings[0].message.contains("every user"), "{warnings:?}");
}

#[cfg(feature = "json5")]
mod text {
    use std::{env, fs, path::PathBuf, process};

    use super::*;

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path = env::temp_dir().join(format!("tls-{}-{name}", process::id()));
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The error of a file with these bytes, which begins with the name of the file.
    fn error(name: &str, bytes: &[u8]) -> String {
        let path = file(name, bytes);
        let error = ProvidersConfig::from_file(&path);
        let error = error
            .and_then(|it| it.register(&Registry::new()))
            .unwrap_err();
        fs::remove_file(&path).unwrap();
        let text = error.to_string();
        let start = format!("the configuration file {} ", path.display());
        let rest = text
            .strip_prefix(&start)
            .unwrap_or_else(|| panic!("{text}"));
        assert!(!text.contains("local service"), "{text}");
        rest.to_owned()
    }

    fn utf_16(text: &str, to_bytes: impl Fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn a_file_is_read_with_its_mark() {
        let path = file("mark", b"\xef\xbb\xbf{ models: { providers: {} } }\r\n");
        let read = ProvidersConfig::from_file(&path);
        fs::remove_file(&path).unwrap();
        assert!(
            read.unwrap()
                .register(&Registry::new())
                .unwrap()
                .ids()
                .is_empty()
        );
    }

    #[test]
    fn what_is_no_utf_8_is_refused_with_what_to_do() {
        for text in [
            utf_16("\u{feff}{}", u16::to_le_bytes),
            utf_16("\u{feff}{}", u16::to_be_bytes),
            utf_16("{\n}", u16::to_le_bytes),
            utf_16("{\n}", u16::to_be_bytes),
        ] {
            let said = error("utf-16", &text);
            assert!(said.starts_with("cannot be read as it is UTF-16"), "{said}");
            assert!(said.ends_with("save it as UTF-8"), "{said}");
        }
        let said = error("latin-1", b"{\n// M\xfcller\n}");
        assert!(
            said.starts_with("cannot be read as line 2 is no UTF-8"),
            "{said}"
        );
    }

    #[test]
    fn a_mistake_is_reported_with_its_file_line_column_and_key() {
        let said = error("syntax", b"{\n  models: [ }");
        assert!(said.starts_with("cannot be read: "), "{said}");
        assert!(said.contains("line 2 column"), "{said}");
        let text = b"{ models: { providers: { a: {\n localService: { command: '/x', idleStopMS: 5 } } } } }";
        assert_eq!(
            error("key", text),
            "cannot work as configured: `models.providers.a.localService.idleStopMS` cannot be read: \
             there is no key `idleStopMS` (did you mean `idleStopMs`?) at line 2 column 33"
        );
        let text = b"{ models: { providers: { a: {\n localService: { kubernetes: { deploymnet: 'x' } } } } } }";
        let said = error("workload", text);
        assert!(
            said.contains("no key `deploymnet` (did you mean `deployment`?) at line 2"),
            "{said}"
        );
        let text = b"{ models: { providers: { a: { baseUrl: 'http://127.0.0.1:1', localService: { command: 'x' } } } } }";
        let said = error("value", text);
        assert!(
            said.starts_with(
                "cannot work as configured: provider `a` `localService.command` is no"
            ),
            "{said}"
        );
        let missing = ProvidersConfig::from_file("/none/openclaw.json").unwrap_err();
        let said = missing.to_string();
        assert!(
            said.contains("/none/openclaw.json cannot be read (No such file"),
            "{said}"
        );
    }

    #[test]
    fn a_misspelt_key_that_is_skipped_is_warned_of() {
        let text = "{ $include: './more.json5', models: { provider: {}, providers: {
            a: { baseUrl: 'http://127.0.0.1:9380/v1', localservice: { command: '/x' }, authHeader: true },
            b: { baseURL: 'http://127.0.0.1:9381/v1', timeout: 5, models: [{ id: 'x', cost: {} }] },
        } } }";
        let providers = ProvidersConfig::from_json5(text).unwrap();
        let warned = warnings(&providers.register(&Registry::new()).unwrap());
        let places: Vec<_> = warned.iter().map(|it| (&*it.0, &*it.1)).collect();
        assert_eq!(
            places,
            [
                (FILE, "$include"),
                (FILE, "models.provider"),
                ("a", "localservice"),
                ("b", "baseURL"),
                ("b", "timeout")
            ]
        );
        assert!(
            warned[2].2.contains("did you mean `localService`?"),
            "{warned:?}"
        );
        assert!(warned[3].2.contains("`baseUrl`"), "{warned:?}");
    }
}
