//! The crate's `tracing` events.

use std::{
    fmt::{self, Write as _},
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use tracing::{
    Dispatch, Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt as _},
};

/// Collects events with a dispatcher of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) level: Level,
    /// `name=value ` for each field, including the message.
    pub(crate) fields: String,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A dispatcher for `tracing::dispatcher::with_default`.
    pub(crate) fn dispatch(&self) -> Dispatch {
        // While there is only one dispatcher, `tracing` asks the thread that reaches an event first. In
        // another test that has none, which would switch the event off for this test as well.
        static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Registry::default()));
        LazyLock::force(&ANOTHER);
        Dispatch::new(Registry::default().with(self.clone()))
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether an event with that target has the text in its fields.
    pub(crate) fn has(&self, target: &str, text: &str) -> bool {
        self.seen()
            .iter()
            .any(|seen| seen.target.starts_with(target) && seen.fields.contains(text))
    }
}

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        let seen = Seen {
            target: event.metadata().target().to_owned(),
            level: *event.metadata().level(),
            fields: fields.0,
        };
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(seen);
    }
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{}={value} ", field.name());
    }
}
