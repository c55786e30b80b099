//! The events of a registry's services.
#![expect(
    clippy::disallowed_types,
    reason = "the time is shown, and decides nothing"
)]

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use serde::{Serialize, Serializer};
use tokio::sync::broadcast::{self, error::RecvError};

use super::{LocalService, Registry};
use crate::supervisor::{EventKind, Happened};

/// Something that happened to a service of a [`Registry`].
///
/// It serializes to one flat object:
///
/// ```json
/// { "service": "llama", "instance": 1, "atMs": 1795872000000, "missed": 0, "kind": "ready", "tookMs": 812, "external": false }
/// ```
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Event {
    /// The service, by the name that it has in the registry. Of several names for one process it is the first.
    pub service: String,
    /// The number of the instance, as in [`Lease::instance`](crate::Lease::instance). Each start is another one.
    pub instance: u64,
    /// When it happened.
    #[serde(rename = "atMs", serialize_with = "millis")]
    pub at: SystemTime,
    /// How many events were lost before this one, because they were not taken in time. Those of other registries are
    /// among them.
    pub missed: u64,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// The events of the services of a [`Registry`], from when it was made: see [`Registry::events`].
#[derive(Debug)]
pub struct Events {
    registry: Registry,
    channel: broadcast::Receiver<Arc<Happened>>,
    /// By the number of the client: a service that has left the registry still has events.
    names: HashMap<u64, String>,
    missed: u64,
}

impl Events {
    pub(super) fn of(registry: Registry, channel: broadcast::Receiver<Arc<Happened>>) -> Self {
        Self {
            registry,
            channel,
            names: HashMap::new(),
            missed: 0,
        }
    }

    /// The next event. There is always another one to wait for.
    ///
    /// # Cancel safety
    ///
    /// No event is lost.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use tower_local_service::{EventKind, Registry};
    ///
    /// # async fn show() {
    /// let mut events = Registry::global().events();
    /// loop {
    ///     let event = events.next().await;
    ///     match event.kind {
    ///         EventKind::Loading { .. } => println!("{} loads", event.service),
    ///         EventKind::Ready { took, .. } => println!("{} is ready after {took:?}", event.service),
    ///         EventKind::Failed { error, .. } => eprintln!("{error:#}"),
    ///         _ => {}
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn next(&mut self) -> Event {
        loop {
            match self.channel.recv().await {
                Ok(happened) => {
                    if let Some(service) = self.name_of(&happened) {
                        return Event {
                            service,
                            instance: happened.instance,
                            at: happened.at,
                            missed: std::mem::take(&mut self.missed),
                            kind: happened.kind.clone(),
                        };
                    }
                }
                Err(RecvError::Lagged(missed)) => self.missed += missed,
                // Cannot happen: the channel is that of the whole program.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    fn name_of(&mut self, happened: &Happened) -> Option<String> {
        let services = self.registry.services();
        let of_client = |it: &&LocalService| it.client().number == happened.client;
        let mut names = services.iter().filter(of_client).map(LocalService::name);
        // That under which it was asked for, if the registry has it by that name.
        let asked = names.clone().find(|name| *name == happened.service);
        if let Some(name) = asked.or_else(|| names.next()) {
            self.names.insert(happened.client, name.to_owned());
        }
        self.names.get(&happened.client).cloned()
    }
}

pub(super) fn millis<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    serializer.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::error::{Error, ErrorKind};

    #[test]
    fn an_event_is_one_flat_object() {
        let event = |kind| Event {
            service: "llama".to_owned(),
            instance: 3,
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
            missed: 2,
            kind,
        };
        let ready = EventKind::Ready {
            took: Duration::from_millis(812),
            external: false,
        };
        assert_eq!(
            serde_json::to_value(event(ready)).unwrap(),
            json!({
                "service": "llama", "instance": 3, "atMs": 1500, "missed": 2,
                "kind": "ready", "tookMs": 812, "external": false,
            })
        );
        let error = Error::new("llama", ErrorKind::Stopped {});
        let text = error.to_string();
        let failed = serde_json::to_value(event(EventKind::Failed { error })).unwrap();
        assert_eq!(
            (&failed["kind"], &failed["error"]),
            (&json!("failed"), &json!(text))
        );
    }
}
