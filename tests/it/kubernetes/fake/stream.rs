//! Watches.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    Shared,
    call::Call,
    objects,
    status::{self, Answer},
    store,
};

/// How long a watch may say nothing before a bookmark tells the version. A real server takes a minute.
const BOOKMARK: Duration = Duration::from_millis(200);

/// Answers a watch, which runs until its client goes, its time is over, or the history that it needs is forgotten.
pub(super) fn answer(shared: &Arc<Shared>, call: Call) -> Answer {
    let (lines, received) = mpsc::channel(16);
    let changed = shared.changed.subscribe();
    let watch = Watch {
        at: 0,
        lines,
        shared: Arc::clone(shared),
        call,
    };
    Handle::current().spawn(watch.run(changed));
    let stream = futures_util::stream::unfold(received, async |mut received| {
        let line: Bytes = received.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(line)), received))
    });
    let mut answer = http::Response::new(StreamBody::new(stream).boxed_unsync());
    let json = http::HeaderValue::from_static("application/json");
    answer
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    answer
}

struct Watch {
    /// The version up to which it has told.
    at: u64,
    lines: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
    call: Call,
}

impl Watch {
    async fn run(mut self, mut changed: watch::Receiver<()>) {
        let seconds = self
            .call
            .parameter("timeoutSeconds")
            .and_then(|it| it.parse().ok());
        let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(1800));
        let bookmarks = matches!(
            self.call.parameter("allowWatchBookmarks"),
            Some("1" | "true")
        );
        let asked = self
            .call
            .parameter("resourceVersion")
            .and_then(|it| it.parse().ok());
        let mut next = match asked.unwrap_or(0) {
            0 => self.all(),
            at => {
                self.at = at;
                Vec::new()
            }
        };
        let mut told = self.at;
        loop {
            next.extend(self.changes());
            for event in next.drain(..) {
                let failed = event["type"] == "ERROR";
                let line = format!("{event}\n");
                if self.lines.send(line.into()).await.is_err() || failed {
                    return;
                }
                told = self.at;
            }
            let bookmark = Instant::now() + BOOKMARK;
            tokio::select! {
                () = sleep_until(end) => return,
                () = self.lines.closed() => return,
                change = changed.changed() => if change.is_err() { return },
                () = sleep_until(bookmark), if bookmarks && told < self.at => {
                    next.extend(self.bookmark());
                    told = self.at;
                }
            }
        }
    }

    fn is_silent(&self) -> bool {
        self.call.of_program && self.shared.faults().silent
    }

    /// The objects that are there, as if each had just been added.
    fn all(&mut self) -> Vec<Value> {
        let store = self.shared.store();
        self.at = store.version();
        let objects = store.list(self.call.resource.name, &self.call.namespace);
        let objects = objects.filter(|it| objects::is_selected(it, &self.call));
        objects.map(|it| event("ADDED", it)).collect()
    }

    /// What has changed since it was last asked.
    fn changes(&mut self) -> Vec<Value> {
        if self.is_silent() {
            return Vec::new();
        }
        let store = self.shared.store();
        if self.at < store.oldest() {
            return vec![event("ERROR", &status::expired(self.at, store.oldest()))];
        }
        let is_in = |it: &&store::Change| {
            store::is_in(&it.key, self.call.resource.name, &self.call.namespace)
        };
        let changes = store.changes_after(self.at).iter().filter(is_in);
        let events: Vec<_> = changes.filter_map(|it| self.event(it)).collect();
        self.at = store.version();
        events
    }

    /// As this watch sees it: what is not selected any more is deleted.
    fn event(&self, change: &store::Change) -> Option<Value> {
        let was = !change.before.is_null() && objects::is_selected(&change.before, &self.call);
        let is = !change.deleted && objects::is_selected(&change.after, &self.call);
        let what = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(event(what, &change.after))
    }

    fn bookmark(&self) -> Option<Value> {
        if self.is_silent() {
            return None;
        }
        let object = json!({
            "kind": self.call.resource.kind, "apiVersion": self.call.resource.api_version(),
            "metadata": { "resourceVersion": self.at.to_string(), "creationTimestamp": null },
        });
        Some(event("BOOKMARK", &object))
    }
}

fn event(what: &str, object: &Value) -> Value {
    json!({ "type": what, "object": object })
}
