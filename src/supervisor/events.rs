//! What happens to the services of your program, for those that listen.
#![expect(
    clippy::disallowed_types,
    reason = "the time is shown, and decides nothing"
)]

use std::{
    sync::{Arc, LazyLock},
    time::SystemTime,
};

use tokio::sync::broadcast;

use super::event_kind::EventKind;

/// How many events are kept for a consumer that is slower than they come.
const KEPT: usize = 256;

/// One channel for all services of your program.
static EVENTS: LazyLock<broadcast::Sender<Arc<Happened>>> =
    LazyLock::new(|| broadcast::Sender::new(KEPT));

/// An event of one instance.
#[derive(Debug)]
pub(crate) struct Happened {
    /// The number of the [`Client`](super::Client).
    pub(crate) client: u64,
    /// The name under which the service was asked for.
    pub(crate) service: String,
    pub(crate) instance: u64,
    pub(crate) at: SystemTime,
    pub(crate) kind: EventKind,
}

/// All events from now on.
pub(crate) fn subscribe() -> broadcast::Receiver<Arc<Happened>> {
    EVENTS.subscribe()
}

/// Tells of the instances of one service.
#[derive(Debug)]
pub(super) struct Teller {
    client: u64,
    service: String,
    instance: u64,
    #[cfg(feature = "metrics")]
    pub(super) meter: super::meter::Meter,
}

impl Teller {
    pub(super) fn of(client: u64) -> Self {
        Self {
            client,
            service: String::new(),
            instance: 0,
            #[cfg(feature = "metrics")]
            meter: super::meter::Meter::default(),
        }
    }

    pub(super) fn begin(&mut self, service: &str, instance: u64) {
        service.clone_into(&mut self.service);
        self.instance = instance;
        #[cfg(feature = "metrics")]
        self.meter.begin(service);
    }

    /// Neither waits for a consumer nor fails without one.
    pub(super) fn tell(&mut self, kind: EventKind) {
        #[cfg(feature = "metrics")]
        self.meter.count(&kind);
        if EVENTS.receiver_count() == 0 {
            return;
        }
        let happened = Happened {
            client: self.client,
            service: self.service.clone(),
            instance: self.instance,
            at: SystemTime::now(),
            kind,
        };
        drop(EVENTS.send(Arc::new(happened)));
    }
}
