//! Mistakes that people make in a file: each is reported with its place, and nothing is registered.

use std::thread;

use super::*;
use crate::error::Problem;

/// A whole file but for these lines, which begin in line 5 with column 1.
fn file_with(lines: &str) -> String {
    format!(
        "{{\n  models: {{\n    providers: {{\n      llama: {{\n{lines}\n      }},\n    }},\n  }},\n}}\n"
    )
}

/// The lines of a provider that can be registered, followed by these.
fn then(lines: &str) -> String {
    file_with(&format!(
        "baseUrl: 'http://127.0.0.1:9350/v1',\nlocalService: {{ command: '/bin/x' }},\n{lines}"
    ))
}

fn load(text: &str, registry: &Registry) -> Result<Providers, Error> {
    ProvidersConfig::from_json5(text)?.register(registry)
}

/// Provider, field and message of the only problem.
#[track_caller]
fn problem(text: &str) -> (String, String, String) {
    let registry = Registry::new();
    let error = load(text, &registry).expect_err(text);
    assert!(registry.services().is_empty(), "something was registered");
    let ErrorKind::InvalidConfig { problems } = error.kind() else {
        panic!("another kind: {error}");
    };
    assert_eq!(problems.len(), 1, "{error}");
    let Problem {
        service,
        field,
        message,
        ..
    } = problems[0].clone();
    (service, field, message)
}

#[test]
fn what_is_no_json5_is_reported_with_line_and_column() {
    let cut = file_with("baseUrl: 'http://127.0.0.1:9350/v1',");
    let cut = cut.trim_end().strip_suffix("  },\n}").unwrap();
    for (text, place, said) in [
        ("", "line 1 column 1", "EOF"),
        ("// nothing but a comment\n", "line 2 column 1", "EOF"),
        (cut, "line 2 column 11", "EOF"),
        ("{}\n}", "line 2 column 1", "trailing"),
        ("{} {}", "line 1 column 4", "trailing"),
        ("{ models: {} }\nmodels: {}", "line 2 column 1", "trailing"),
        (&file_with("baseUrl 'http://h'"), "line 5 column 9", "colon"),
        (
            &file_with("base-url: 'http://h'"),
            "line 5 column 5",
            "colon",
        ),
        (
            &file_with("baseUrl: 'http://h'\napi: 'a'"),
            "line 6 column 1",
            "comma",
        ),
        (&file_with("baseUrl: http://h"), "line 5 column 10", "value"),
        (
            &file_with("baseUrl: 'http://h,\napi: 'a'"),
            "line 5 column 20",
            "string",
        ),
        (
            &file_with("baseUrl: 'http://h', ,"),
            "line 5 column 22",
            "identifier",
        ),
        (
            &file_with("models: [{ id: 'a' }"),
            "line 6 column 7",
            "comma",
        ),
        (
            &file_with("models: [{ id: 'a' ]"),
            "line 5 column 20",
            "comma",
        ),
        (
            &file_with("timeoutSeconds: 010"),
            "line 5 column 17",
            "zero",
        ),
        (
            &file_with("timeoutSeconds: 5m"),
            "line 5 column 18",
            "comma",
        ),
        (&file_with("api: \u{0}"), "line 5 column 6", "value"),
        (
            &file_with("# a comment of another language"),
            "line 5 column 1",
            "identifier",
        ),
        (
            &file_with("/* a comment without an end"),
            "line 4 column 14",
            "EOF",
        ),
    ] {
        let (service, field, message) = problem(text);
        assert_eq!(
            (service.as_str(), field.as_str()),
            (FILE, "syntax"),
            "{text}"
        );
        assert!(message.contains("cannot be read: "), "{message}");
        assert!(
            message.ends_with(place),
            "{text}\n{message}\nnot at {place}"
        );
        assert!(message.contains(said), "{text}\n{message}\nwithout {said}");
    }
}

/// Path, and the end of the message, which is the place.
#[track_caller]
fn assert_reported_at(lines: &str, path: &str, place: &str) {
    let (service, field, message) = problem(&file_with(lines));
    assert_eq!(service, "llama", "{message}");
    assert_eq!(field, format!("models.providers.llama.{path}"), "{message}");
    assert!(
        message.ends_with(place),
        "{lines}\n{message}\nnot at {place}"
    );
}

#[test]
fn what_is_of_a_wrong_type_is_reported_with_its_path_too() {
    for (lines, path, place) in [
        ("baseUrl: 8080", "baseUrl", "line 5 column 10"),
        ("\n\n  api: ['openai']", "api", "line 7 column 8"),
        ("timeoutSeconds: '5'", "timeoutSeconds", "line 5 column 17"),
        ("headers: ['a: b']", "headers", "line 5 column 10"),
        ("models: 'gemma'", "models", "line 5 column 9"),
        ("models: ['gemma']", "models[0]", "line 5 column 10"),
        ("models: [{ name: 'G' }]", "models[0]", "line 5 column 10"),
        ("localService: true", "localService", "line 5 column 15"),
        ("localService: {}", "localService", "line 5 column 15"),
    ] {
        assert_reported_at(lines, path, place);
    }
}

#[test]
fn what_is_wrong_in_a_local_service_is_reported_by_its_key() {
    for (lines, key, place) in [
        (
            "command: '/x', readyTimeoutMs: '5s'",
            "readyTimeoutMs",
            "line 6 column 32",
        ),
        (
            "command: '/x',\nidleStopMs: -1",
            "idleStopMs",
            "line 7 column 13",
        ),
        ("command: '/x',\nport: 8080", "port", "line 7 column 1"),
        ("'command': '/x', 'cmd': 1", "cmd", "line 6 column 18"),
    ] {
        let lines = format!("localService: {{\n{lines} }}");
        assert_reported_at(&lines, &format!("localService.{key}"), place);
    }
}

#[test]
fn a_key_that_is_there_twice_is_reported_with_its_place() {
    let twice = "{ models: { providers: {\n  a: { baseUrl: 'http://a' },\n  b: { baseUrl: 'http://b' },\n  \
                 'a': { baseUrl: 'http://c' },\n} } }";
    let (service, field, message) = problem(twice);
    assert_eq!(
        (service.as_str(), field.as_str()),
        ("a", "models.providers.a")
    );
    assert!(
        message.contains("duplicate key `a`") && message.ends_with("line 4 column 3"),
        "{message}"
    );

    let (_, field, message) = problem(&then("headers: { 'x-a': 'b',\n'x-a': 'c' }"));
    assert_eq!(field, "models.providers.llama.headers.x-a");
    assert!(
        message.contains("duplicate key `x-a`") && message.ends_with("line 8 column 1"),
        "{message}"
    );

    let (_, field, message) = problem(&then("baseUrl: 'http://127.0.0.1:9351/v1'"));
    assert!(field.starts_with("models.providers.llama"), "{field}");
    assert!(message.contains("duplicate field `baseUrl`"), "{message}");
    assert!(message.contains("line "), "{message}");

    let (_, field, message) = problem(&then("localService: { command: '/bin/y' }"));
    assert!(field.starts_with("models.providers.llama"), "{field}");
    assert!(
        message.contains("duplicate field `localService`"),
        "{message}"
    );

    let (_, _, message) = problem("{ models: {},\nmodels: {} }");
    assert!(message.contains("duplicate field `models`"), "{message}");
}

#[test]
fn a_key_that_is_skipped_may_be_there_twice() {
    let file = then("cost: 1, cost: 2, extra: { a: 1, a: 2 }");
    let registry = Registry::new();
    drop(load(&file, &registry).unwrap());
}

#[test]
fn a_file_of_brackets_is_an_error_and_no_crash() {
    for (open, close) in [("[", "]"), ("{a:", "}"), ("[{a:", "}]")] {
        for depth in [129, 100_000] {
            let nested = format!("{}0{}", open.repeat(depth), close.repeat(depth));
            for text in [&nested, &open.repeat(depth), &then(&format!("x: {nested}"))] {
                let (_, field, message) = problem(text);
                assert_eq!(field, "syntax");
                assert!(
                    message.contains("128 deep") && message.contains(" at line "),
                    "{message}"
                );
            }
        }
    }
}

#[test]
fn brackets_in_strings_and_comments_are_not_nested() {
    let brackets = "[{".repeat(100);
    let text = then(&format!(
        "// {brackets}\n/* {brackets}/*/ api: '{brackets}\\'{brackets}', y: \"'{brackets}\", z: [1],"
    ));
    drop(load(&text, &Registry::new()).unwrap());
    let nested = "[".repeat(129);
    for hidden in [
        "'\\''",
        "\"'\"",
        "// '\n",
        "// '\u{2028}",
        "/*/ ' */",
        "'//', ",
        "'/*', ",
    ] {
        let key = if hidden.starts_with('/') { "" } else { "h: " };
        let (_, field, message) = problem(&then(&format!("{key}{hidden}, x: {nested}")));
        assert_eq!(field, "syntax");
        assert!(message.contains("128 deep"), "{hidden}: {message}");
    }
}

#[test]
fn what_is_as_deep_as_allowed_needs_little_stack() {
    let nested = format!("{}{}", "[".repeat(124), "]".repeat(124));
    let text = then(&format!(
        "apiKey: {nested}, models: [{{ id: 'a', cost: {} }}]",
        &nested[2..246]
    ));
    let read = move || drop(ProvidersConfig::from_json5(&text).unwrap());
    let small = thread::Builder::new().stack_size(512 * 1024);
    small.spawn(read).unwrap().join().unwrap();
}

#[test]
fn a_large_file_is_read() {
    let strings = "'0123456789abcdef', ".repeat(50_000);
    let text = then(&format!("extra: [{strings}],\nmodels: [{{ id: 'gemma' }}]"));
    let registry = Registry::new();
    let providers = load(&text, &registry).unwrap();
    assert_eq!(providers.get("llama").unwrap().models[0].id, "gemma");
    let (_, _, message) = problem(&then(&format!("extra: [{strings}],\nmodels: 5")));
    assert!(message.ends_with("line 8 column 9"), "{message}");
}

#[test]
fn marks_and_line_ends_of_other_systems_are_no_mistake() {
    let text = then("api: 'a'");
    let registry = Registry::new();
    for text in [format!("\u{feff}{text}"), text.replace('\n', "\r\n")] {
        drop(load(&text, &registry).unwrap());
    }
    let (_, _, message) = problem(&file_with("api: 5").replace('\n', "\r\n"));
    assert!(message.ends_with("line 5 column 6"), "{message}");
}

#[test]
fn a_nul_in_a_command_is_refused() {
    let text = file_with(
        "baseUrl: 'http://127.0.0.1:9352/v1',\nlocalService: { command: '/bin/x\u{0}y' }",
    );
    let (service, field, _) = problem(&text);
    assert_eq!(
        (service.as_str(), field.as_str()),
        ("llama", "localService.command")
    );
}
