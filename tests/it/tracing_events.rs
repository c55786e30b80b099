//! The `tracing` events of an instance, under the names in the crate's documentation.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::timeout;
use tower_local_service::{ErrorKind, LocalServiceConfig, Phase, Registry};
use tracing::{
    Dispatch, Event, Instrument, Level, Metadata, Subscriber,
    dispatcher::DefaultGuard,
    field::{Field, Visit},
    info_span,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

use crate::support::{Fixture, eventually, free_port, within};

/// All supervisors of a program share one thread for their events: a log that stands still would delay those of other
/// tests.
static ONE_LOG: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The fields of an event or span by name, as text; the message is one.
#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

#[derive(Clone, Debug)]
struct Told {
    level: Level,
    fields: Fields,
    /// The name and fields of the event's span.
    span: Option<(&'static str, Fields)>,
    /// Whether that span has no parent.
    in_root: bool,
}

#[derive(Default)]
struct Heard {
    spans: HashMap<u64, Fields>,
    told: Vec<Told>,
}

/// Keeps the crate's events, except the lines of servers.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Heard>>);

impl Ear {
    /// Receives the events of this thread, and of supervisors that are started from it.
    fn open() -> (Self, (DefaultGuard, Dispatch)) {
        let ear = Self::default();
        // While a program has only one subscriber, `tracing` asks the thread that reaches an event
        // first.
        let second = Dispatch::new(tracing_subscriber::registry());
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(ear.clone()));
        let listening = tracing::dispatcher::set_default(&dispatch);
        (ear, (listening, second))
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, name: &str) -> Option<Told> {
        let heard = self.heard();
        let found = heard
            .told
            .iter()
            .find(|it| it.fields.get("message") == name);
        found.cloned()
    }

    #[track_caller]
    fn told(&self, name: &str) -> Told {
        let told = self.find(name);
        told.unwrap_or_else(|| panic!("{name} was not told: {:?}", self.of_instances()))
    }

    /// The names of all events in the spans of instances.
    fn of_instances(&self) -> Vec<String> {
        let heard = self.heard();
        let of_instance = |it: &&Told| it.span.as_ref().is_some_and(|it| it.0 == "local_service");
        let name = |it: &Told| it.fields.get("message").to_owned();
        heard.told.iter().filter(of_instance).map(name).collect()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Ear {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        self.heard().spans.insert(id.into_u64(), fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(fields) = self.heard().spans.get_mut(&id.into_u64()) {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "tower_local_service" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let span = context.event_span(event);
        let in_root = span.as_ref().is_some_and(|span| span.parent().is_none());
        let mut heard = self.heard();
        let of = |id: Id| heard.spans.get(&id.into_u64()).cloned().unwrap_or_default();
        let span = span.map(|span| (span.name(), of(span.id())));
        heard.told.push(Told {
            level: *event.metadata().level(),
            fields,
            span,
            in_root,
        });
    }
}

#[tokio::test]
async fn an_instance_is_a_root_span_and_its_events_are_in_order() {
    let _alone = ONE_LOG.lock().await;
    let (ear, _open) = Ear::open();
    let fixture = Fixture::new();
    let config = fixture.config().idle_stop(Duration::from_millis(50));
    let service = fixture.configured("traced", config);

    let request = info_span!("request");
    let lease = within("a lease", service.acquire().instrument(request)).await;
    let lease = lease.expect("a server");
    eventually("it is ready", || service.status().phase == Phase::Ready).await;
    let instance = lease.instance();
    drop(lease);
    eventually("the instance is over", || ear.find("stopped").is_some()).await;

    let life = [
        "probing", "starting", "started", "ready", "idle", "stopping", "exited", "stopped",
    ];
    assert_eq!(ear.of_instances(), life);
    for name in life {
        let told = ear.told(name);
        let (_, span) = told.span.expect("a span");
        assert!(told.in_root, "{name}");
        assert_eq!(span.get("service"), "traced");
        assert_eq!(span.get("instance"), instance.to_string());
    }
    let pid = fixture.starts()[0].to_string();
    assert_eq!(ear.told("started").fields.get("pid"), pid);
    let (_, span) = ear.told("ready").span.expect("a span");
    assert_eq!(span.get("pid"), pid);
    assert_eq!(ear.told("ready").fields.get("external"), "false");
    let took = ear.told("ready").fields.get("took_ms").parse::<u64>();
    assert!(took.is_ok_and(|took| took < 20_000));
    assert_eq!(ear.told("stopping").fields.get("reason"), "idle");
    assert_eq!(ear.told("exited").level, Level::INFO);
}

#[tokio::test]
async fn a_request_that_waited_says_so_in_its_own_span() {
    let _alone = ONE_LOG.lock().await;
    let (ear, _open) = Ear::open();
    let fixture = Fixture::new();
    let service = fixture.service("waited-for");
    let request = info_span!("request");
    let lease = within("a lease", service.acquire().instrument(request)).await;
    let second = service.acquire().await;
    assert!(lease.is_ok() && second.is_ok());
    eventually("it is logged", || ear.find("waited").is_some()).await;

    let waits = ear.heard().told.clone();
    let waits: Vec<_> = waits
        .iter()
        .filter(|it| it.fields.get("message") == "waited")
        .collect();
    let [told] = waits[..] else {
        panic!("one of two waited: {waits:?}");
    };
    assert_eq!(told.span.as_ref().expect("a span").0, "request");
    assert_eq!(told.fields.get("service"), "waited-for");
    assert!(told.fields.get("waited_ms").parse::<u64>().is_ok());
    assert_eq!(told.fields.get("error"), "");
}

#[tokio::test]
async fn a_failed_start_is_a_warning_with_the_error() {
    let _alone = ONE_LOG.lock().await;
    let (ear, _open) = Ear::open();
    let config = LocalServiceConfig::new("/bin/sh").args(["-c", "exit 3"]);
    let base_url = format!("http://127.0.0.1:{}/v1", free_port());
    let service = Registry::new().service("broken", base_url, config);
    let service = service.expect("a configuration that works");
    let error = within("an error", service.acquire()).await;
    let error = error.expect_err("it exits").to_string();
    eventually("the instance is over", || ear.find("stopped").is_some()).await;
    eventually("the wait is logged", || ear.find("waited").is_some()).await;

    assert_eq!(
        ear.of_instances(),
        [
            "probing", "starting", "started", "exited", "failed", "stopped"
        ]
    );
    let exited = ear.told("exited");
    assert_eq!(
        (exited.level, exited.fields.get("code")),
        (Level::WARN, "3")
    );
    let failed = ear.told("failed");
    assert_eq!(
        (failed.level, failed.fields.get("error")),
        (Level::WARN, &*error)
    );
    assert_eq!(ear.told("waited").fields.get("error"), error);
}

#[tokio::test]
async fn a_server_that_ran_already_is_ready_as_external_and_released() {
    let _alone = ONE_LOG.lock().await;
    let (ear, _open) = Ear::open();
    let fixture = Fixture::new();
    let _outside = fixture.run_outside();
    let service = fixture.service("found");
    let lease = within("a lease", service.acquire()).await;
    drop(lease.expect("the server that runs already"));
    drop(service);
    eventually("it is let go", || ear.find("released").is_some()).await;

    let mut events = ear.of_instances();
    events.retain(|it| it != "idle");
    assert_eq!(events, ["probing", "ready", "released"]);
    let ready = ear.told("ready").fields;
    assert_eq!(ready.get("external"), "true");
    // Counted from the probe, and not from an earlier event.
    let took = ready.get("took_ms").parse::<u64>();
    assert!(took.is_ok_and(|took| took < 20_000));
}

#[tokio::test]
async fn the_first_error_of_a_crash_loop_names_its_cause() {
    let _alone = ONE_LOG.lock().await;
    let config = LocalServiceConfig::new("/bin/sh")
        .args(["-c", "echo out of memory >&2; sleep 0.2; exit 9"]);
    let base_url = format!("http://127.0.0.1:{}/v1", free_port());
    let service = Registry::new().service("unseen", base_url, config);
    let service = service.expect("a configuration that works");
    for starts in 1..=2 {
        // The request leaves before the process has ended.
        let left = timeout(Duration::from_millis(1), service.acquire()).await;
        assert!(left.is_err(), "it is not ready that soon");
        eventually("it failed", || {
            let status = service.status();
            status.starts == starts && status.phase == Phase::Failed
        })
        .await;
    }
    // The back-off takes one second: if this machine was suspended that long, another start fails.
    let error = loop {
        let error = within("an error", service.acquire()).await;
        let error = error.expect_err("it exits");
        if matches!(error.kind(), ErrorKind::CrashLoop { .. }) {
            break error;
        }
    };
    assert!(error.to_string().contains("exited with code 9"), "{error}");
    assert_eq!(error.output_tail(), Some("out of memory\n"));
}

#[tokio::test]
async fn the_status_shows_the_death_of_an_idle_server() {
    let _alone = ONE_LOG.lock().await;
    let fixture = Fixture::new()
        .with("--print-line", "out of memory")
        .with("--exit-after-ready", "50")
        .with("--exit-code", "9");
    let service = fixture.service("dead");
    drop(within("a start", service.start()).await);
    eventually("it failed", || service.status().phase == Phase::Failed).await;

    let error = service.status().last_error.expect("why it failed");
    let wanted = matches!(error.kind(), ErrorKind::Exited { code: Some(9), .. });
    assert!(wanted, "{error}");
    assert!(
        error
            .output_tail()
            .is_some_and(|it| it.contains("out of memory"))
    );
}

/// A log with a bug, such as one that may not write any more. It counts its panics.
#[derive(Clone)]
struct Broken {
    panics: Arc<AtomicUsize>,
    takes_spans: bool,
}

impl Broken {
    fn panic_for(&self, metadata: &Metadata<'_>) {
        if metadata.target().starts_with("tower_local_service") {
            self.panics.fetch_add(1, Relaxed);
            panic!("the log is full");
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Broken {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        if !self.takes_spans {
            self.panic_for(attributes.metadata());
        }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.panic_for(event.metadata());
    }
}

#[tokio::test]
async fn a_subscriber_that_panics_fails_no_request_and_ends_no_server() {
    let _alone = ONE_LOG.lock().await;
    for takes_spans in [true, false] {
        let panics = Arc::new(AtomicUsize::new(0));
        let broken = Broken {
            panics: Arc::clone(&panics),
            takes_spans,
        };
        let _second = Dispatch::new(tracing_subscriber::registry());
        let dispatch = Dispatch::new(tracing_subscriber::registry().with(broken));
        let _listening = tracing::dispatcher::set_default(&dispatch);
        let fixture = Fixture::new();
        let config = fixture.config().idle_stop(Duration::from_millis(50));
        let service = fixture.configured("traced", config);
        for n in 1..=2 {
            let lease = within("a lease", service.acquire()).await;
            drop(lease.expect("a server"));
            eventually("it is stopped", || service.status().phase == Phase::Stopped).await;
            assert_eq!(fixture.starts().len(), n);
        }
        // Each of the two times at least a span or its events, and the event of the request.
        eventually("it panics", || panics.load(Relaxed) >= 4).await;
    }
}

/// A log whose reader stands still, until one of its clones is dropped.
#[derive(Clone, Default)]
struct Blocked {
    is_over: Arc<AtomicBool>,
    events: Arc<AtomicUsize>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Blocked {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with("tower_local_service") {
            while !self.is_over.load(Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.events.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
    }
}

#[tokio::test]
async fn a_subscriber_that_blocks_delays_no_request_and_no_stop() {
    let _alone = ONE_LOG.lock().await;
    let blocked = Blocked::default();
    let events = &blocked.events;
    let _second = Dispatch::new(tracing_subscriber::registry());
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(blocked.clone()));
    let _listening = tracing::dispatcher::set_default(&dispatch);
    let fixture = Fixture::new();
    let service = fixture.configured("blocked", fixture.config());
    for n in 1..=3 {
        let lease = within("a lease", service.acquire()).await;
        drop(lease.expect("a server"));
        within("a stop", service.stop()).await.unwrap();
        assert_eq!(fixture.starts().len(), n);
    }
    assert_eq!(events.load(Relaxed), 0, "the log stands still");
    blocked.is_over.store(true, Relaxed);
    eventually("what has waited is logged", || events.load(Relaxed) >= 3).await;
}
