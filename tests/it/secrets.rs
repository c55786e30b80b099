//! No secret is in anything that the crate shows, from the start of a service to its end, however it goes.

use std::{
    fmt::Debug,
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use tower::Layer as _;
use tower_local_service::{
    EnsureLocalServiceLayer, Error, ErrorKind, LocalService, Registry,
    provider::{Providers, ProvidersConfig},
};
use tracing::{Dispatch, Level, dispatcher::DefaultGuard};
use tracing_subscriber::fmt::{MakeWriter, format::FmtSpan};

use crate::{
    clients::{get, hyper_client, send, text},
    support::{Fixture, PROGRAM, within},
};

/// Part of every secret here, and long enough that each is one.
const MARK: &str = "m4rk3r";

fn secret(of: &str) -> String {
    format!("{MARK}-of-the-{of}")
}

/// What was shown, in whatever way; searched when all is over.
#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    /// Keeps what `tracing` tells, at every level and with every field and span, of this thread and of
    /// what is started from it.
    fn of_all_events() -> (Self, (DefaultGuard, Dispatch)) {
        let shown = Self::default();
        let everything = tracing_subscriber::fmt()
            .with_max_level(Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_writer(shown.clone())
            .finish();
        // With one subscriber in the program, `tracing` asks only that of the thread which comes to
        // an event first.
        let second = Dispatch::new(tracing_subscriber::registry());
        (
            shown,
            (tracing::subscriber::set_default(everything), second),
        )
    }

    fn add(&self, what: &dyn Debug) {
        writeln!(&mut &*self, "{what:?}\n{what:#?}").unwrap();
    }

    /// The error with all that can be asked of it and of what is behind it.
    fn add_error(&self, error: &Error) {
        self.add(error);
        self.add(error.kind());
        let tail = error.output_tail().unwrap_or_default();
        writeln!(&mut &*self, "{error}\n{tail}").unwrap();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            writeln!(&mut &*self, "{cause}\n{cause:?}").unwrap();
            source = cause.source();
        }
    }

    fn add_service(&self, service: &LocalService) {
        self.add(service);
        self.add(&service.status());
        self.add(&service.watch());
        self.add(&service.journal());
        let journal = serde_json::to_string(&service.journal()).unwrap();
        self.add(&journal);
        if let Some(error) = service.status().last_error {
            self.add_error(&error);
        }
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[track_caller]
    fn assert_no_secret(&self) -> String {
        let text = self.text();
        let leaks: Vec<_> = text.lines().filter(|line| line.contains(MARK)).collect();
        assert!(leaks.is_empty(), "{leaks:#?}");
        text
    }
}

impl Write for &Shown {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Shown {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Prints all secrets that it was given, and then is the fixture, or `then`.
fn indiscreet(then: &str) -> String {
    format!("echo \"args $*\"; echo \"env $MY_TOKEN\" >&2; shift 3; {then}")
}

/// A provider with secrets wherever there can be one.
fn provider(fixture: &Fixture, script: &str) -> Value {
    let words = [
        "-c".to_owned(),
        script.to_owned(),
        PROGRAM.to_owned(),
        "--api-key".to_owned(),
        secret("argument"),
        format!(
            "--auth-token={}",
            secret("assigned argument").replace(' ', "-")
        ),
    ];
    let args: Vec<_> = words.iter().chain(fixture.args()).cloned().collect();
    json!({
        "baseUrl": fixture.base_url(),
        "apiKey": secret("provider"),
        "headers": { "x-team-key": secret("caller's-header") },
        "localService": {
            "command": "/bin/sh",
            "args": args,
            "env": { "MY_TOKEN": secret("environment"), "ANY": secret("plain-variable") },
            "healthUrl": format!("{}?api_key={}", fixture.url("/v1/models"), secret("query")),
            "healthHeaders": { "x-key": secret("probe's-header") },
            "readyTimeoutMs": 20_000,
        },
    })
}

fn read(provider: &Value) -> ProvidersConfig {
    let file = json!({ "models": { "providers": { "indiscreet": provider } } });
    serde_json::from_value(file).unwrap()
}

fn registered(provider: &Value) -> (Providers, LocalService) {
    let providers = read(provider).register(&Registry::new()).unwrap();
    let service = providers.get("indiscreet").unwrap().service.unwrap();
    (providers, service)
}

#[tokio::test]
async fn a_service_that_works_shows_no_secret() {
    let (shown, _listening) = Shown::of_all_events();
    let fixture = Fixture::new().with("--api-key", secret("provider"));
    let indiscreet = provider(&fixture, &indiscreet("exec \"$0\" \"$@\""));
    let (providers, service) = registered(&indiscreet);
    let layer = EnsureLocalServiceLayer::new(providers.clone());
    let client = layer.layer(hyper_client());

    let response = within("an answer", send(&client, get(&fixture.url("/v1/hello")))).await;
    let response = response.unwrap();
    shown.add(&response);
    shown.add_service(&service);
    drop(text(response.into_body()).await.unwrap());
    let lease = service.acquire().await.unwrap();
    shown.add(&lease);
    shown.add(&service.every_request());
    shown.add(&(&providers, providers.get("indiscreet"), &layer, &client));
    let config: tower_local_service::LocalServiceConfig =
        serde_json::from_value(indiscreet["localService"].clone()).unwrap();
    shown.add(&config);
    service.stop().await.unwrap();

    let mut changed = indiscreet.clone();
    changed["localService"]["args"][4] = json!(secret("argument") + "-changed");
    shown.add(&providers.reload(read(&changed)).unwrap());
    shown.add(&providers);
    let successor = providers.get("indiscreet").unwrap().service.unwrap();
    drop(within("a successor", successor.acquire()).await.unwrap());
    shown.add_service(&successor);
    successor.stop().await.unwrap();
    shown.add_service(&successor);

    let text = shown.assert_no_secret();
    assert!(
        text.contains("args --api-key [redacted] --auth-token=[redacted]"),
        "{text}"
    );
    assert!(text.contains("env [redacted]"), "{text}");
    for event in ["probing", "starting", "ready", "stopping", "waited"] {
        assert!(text.contains(event), "{event} was not told");
    }
}

/// Shows all that there is of a start that fails, and says how it failed.
async fn failed(shown: &Shown, provider: &Value) -> ErrorKind {
    let (_providers, service) = registered(provider);
    let client = EnsureLocalServiceLayer::new(service.clone()).layer(hyper_client());
    let url = provider["baseUrl"].as_str().unwrap();
    let failed = send(&client, get(url)).await.unwrap_err();
    shown.add(&failed);
    let error = Error::find_in(&*failed).unwrap();
    shown.add_error(error);
    shown.add_service(&service);
    error.kind().clone()
}

#[tokio::test]
async fn a_crash_loop_shows_no_secret() {
    let (shown, _listening) = Shown::of_all_events();
    let fixture = Fixture::new();
    let provider = provider(&fixture, &indiscreet("exit 3"));
    let (_kept, service) = registered(&provider);
    for _ in 0..2 {
        let error = within("a failure", service.acquire()).await.unwrap_err();
        assert!(matches!(
            error.kind(),
            ErrorKind::Exited { code: Some(3), .. }
        ));
        assert!(error.output_tail().unwrap().contains("env [redacted]"));
        shown.add_error(&error);
    }
    // On a machine that slept through the first pause, another start fails.
    while !matches!(failed(&shown, &provider).await, ErrorKind::CrashLoop { .. }) {}
    shown.add_service(&service);
    shown.assert_no_secret();
}

#[tokio::test]
async fn no_other_failure_shows_a_secret() {
    let (shown, _listening) = Shown::of_all_events();

    let fixture = Fixture::new().with("--api-key", "sk-that-nobody-was-told");
    let exec = indiscreet("exec \"$0\" \"$@\"");
    let kind = failed(&shown, &provider(&fixture, &exec)).await;
    assert!(matches!(kind, ErrorKind::HealthRejected { .. }), "{kind:?}");

    let fixture = Fixture::new();
    let mut mute = provider(&fixture, &indiscreet("sleep 60"));
    mute["localService"]["readyTimeoutMs"] = json!(300);
    let kind = failed(&shown, &mute).await;
    assert!(matches!(kind, ErrorKind::ReadyTimeout { .. }), "{kind:?}");

    let fixture = Fixture::new().with("--health-status", 404);
    let _outside = fixture.run_outside();
    let kind = failed(&shown, &provider(&fixture, &exec)).await;
    assert!(matches!(kind, ErrorKind::AddressInUse { .. }), "{kind:?}");

    let mut missing = provider(&Fixture::new(), &exec);
    missing["localService"]["command"] = json!(format!("/no/such --api-key {}", secret("command")));
    let kind = failed(&shown, &missing).await;
    assert!(matches!(kind, ErrorKind::InvalidConfig { .. }), "{kind:?}");

    let mut unrunnable = provider(&Fixture::new(), &exec);
    unrunnable["localService"]["args"][4] = json!(secret(&"long".repeat(50_000)));
    let kind = failed(&shown, &unrunnable).await;
    assert!(matches!(kind, ErrorKind::Spawn { .. }), "{kind:?}");

    shown.assert_no_secret();
}

#[test]
fn no_refusal_of_a_file_shows_a_secret() {
    let (shown, _listening) = Shown::of_all_events();
    let good = provider(&Fixture::new(), "exit");
    let changes: [(&str, Value); 7] = [
        (
            "/baseUrl",
            json!(format!("ftp://user:{}@localhost", secret("password"))),
        ),
        ("/apiKey", json!(secret("line\nbreak"))),
        ("/localService/args/4", json!(secret("NUL\0"))),
        ("/localService/env/MY_TOKEN", json!(secret("NUL\0"))),
        (
            "/localService/healthHeaders/x-key",
            json!(secret("line\nbreak")),
        ),
        (
            "/localService/healthUrl",
            json!(format!("http://10.0.0.1/?k={}", secret("query"))),
        ),
        (
            "/localService/command",
            json!(format!("server --api-key {}", secret("command"))),
        ),
    ];
    let providers = read(&good).register(&Registry::new()).unwrap();
    for (place, value) in changes {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        let refused = read(&bad).register(&Registry::new());
        shown.add_error(&refused.expect_err(place));
        shown.add_error(&providers.reload(read(&bad)).expect_err(place));
        shown.add(&providers);
    }
    shown.assert_no_secret();
}

#[test]
fn no_word_on_an_unavailable_provider_shows_a_secret() {
    let (shown, _listening) = Shown::of_all_events();
    let mut provider = provider(&Fixture::new(), "exit");
    provider["apiKey"] = json!(format!("${{NOBODY_HAS_THIS}}{}", secret("provider")));
    provider["request"] = json!({ "headers": { "x-key": secret("request") } });
    let providers = read(&provider).register(&Registry::new()).unwrap();
    shown.add(&providers);
    shown.add(&providers.warnings());
    for id in providers.ids() {
        let provider = providers.get(&id).unwrap();
        shown.add(&provider);
        shown.add_error(provider.unavailable.as_ref().expect("it has no key"));
    }
    shown.assert_no_secret();
}
