//! What is shown, and when.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// The thread of the supervisor shows phases, too; tokens come from the main thread.
static SCREEN: LazyLock<Mutex<Screen>> = LazyLock::new(|| {
    Mutex::new(Screen {
        begun: Instant::now(),
        in_tokens: false,
    })
});

struct Screen {
    begun: Instant,
    /// The last line has no end yet.
    in_tokens: bool,
}

fn screen() -> MutexGuard<'static, Screen> {
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows the phases, by the events of the crate. Its documentation lists their names.
pub(crate) fn follow_events() {
    drop(screen());
    tracing_subscriber::registry().with(Phases).init();
}

/// A phase, with the time since the program began.
pub(crate) fn phase(name: &str, detail: &str) {
    end_of_tokens();
    let at = screen().begun.elapsed().as_millis();
    let line = format!("{at:>6} ms  {name:<9}  {detail}");
    text(&format!("{}\n", line.trim_end()));
}

/// A piece of the answer.
pub(crate) fn token(token: &str) {
    let mut screen = screen();
    if !screen.in_tokens {
        text("\n  ");
    }
    screen.in_tokens = true;
    text(token);
}

pub(crate) fn end_of_tokens() {
    let mut screen = screen();
    if screen.in_tokens {
        text("\n\n");
    }
    screen.in_tokens = false;
}

pub(crate) fn text(text: &str) {
    // A closed pipe, as with `head`, must not keep us from stopping the server.
    let mut out = io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

pub(crate) fn mistake(text: &str) {
    drop(writeln!(io::stderr().lock(), "quickstart: {text}"));
}

struct Phases;

impl<S: Subscriber> Layer<S> for Phases {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == "tower_local_service"
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let field = |name| fields.0.get(name).map_or("", String::as_str);
        match field("message") {
            "probing" => phase(
                "probing",
                &format!(
                    "is there a server at {}{} already?",
                    field("host"),
                    field("path")
                ),
            ),
            "starting" => phase("starting", field("command")),
            "started" => phase("loading", &format!("it runs as process {}", field("pid"))),
            "ready" => phase("ready", &format!("after {} ms", field("took_ms"))),
            _ => {}
        }
    }
}

/// The fields of an event, as text.
#[derive(Default)]
struct Fields(HashMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}
