//! Objects of the cluster, as they are at any time: listed once, then watched.

use std::{collections::BTreeMap, fmt::Debug, time::Duration};

use futures_util::TryStreamExt as _;
use kube::{
    Api, Resource,
    api::{ListParams, WatchEvent, WatchParams},
    core::Status,
};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use super::cluster::CALL;

/// How long a watch lasts: the first, and the longest. One that says nothing more is noticed after that time.
const WATCH: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(290));
/// How long its end is waited for when it is due.
const LATE: Duration = Duration::from_secs(5);
/// The pauses after an error: from, to.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// Which objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
}

/// Calls `changed` with all objects, by their names, whenever they may have changed. Resolves when they may not be watched,
/// or there is nothing of this kind.
pub(super) async fn follow<K>(
    api: Api<K>,
    selector: Selector,
    mut changed: impl FnMut(&BTreeMap<String, K>),
) -> Box<Status>
where
    K: Clone + Debug + DeserializeOwned + Resource,
{
    let list = ListParams {
        label_selector: selector.labels.clone(),
        field_selector: selector.fields.clone(),
        ..ListParams::default()
    };
    let (mut pause, mut lasts) = (PAUSE.0, WATCH.0);
    loop {
        match timeout(CALL, api.list(&list)).await {
            Ok(Ok(listed)) => {
                let version = listed.metadata.resource_version.unwrap_or_default();
                let objects = listed.items.into_iter();
                let mut objects = objects.filter_map(|it| Some((name(&it)?, it))).collect();
                changed(&objects);
                let seen = |event| {
                    apply(&mut objects, event);
                    changed(&objects);
                };
                match watch(&api, &selector, version, &mut lasts, seen).await {
                    Ok(true) => pause = PAUSE.0,
                    // To list is no way to watch: the API server has too much to do already.
                    Ok(false) => pause = (pause * 2).min(PAUSE.1),
                    Err(status) => return status,
                }
            }
            Ok(Err(kube::Error::Api(status))) if is_final(&status) => return status,
            // It hangs, is away, or has too much to do.
            Ok(Err(_)) | Err(_) => pause = (pause * 2).min(PAUSE.1),
        }
        sleep(jittered(pause)).await;
    }
}

/// Whether it stays so until a person changes something.
fn is_final(status: &Status) -> bool {
    matches!(status.code, 401 | 403 | 404)
}

/// Watches until something is missed, or may be. Says whether it has watched.
///
/// # Errors
///
/// They may not be watched.
async fn watch<K>(
    api: &Api<K>,
    selector: &Selector,
    mut version: String,
    lasts: &mut Duration,
    mut seen: impl FnMut(WatchEvent<K>),
) -> Result<bool, Box<Status>>
where
    K: Clone + Debug + DeserializeOwned + Resource,
{
    let mut has_watched = false;
    loop {
        let time = jittered(*lasts);
        let params = WatchParams {
            label_selector: selector.labels.clone(),
            field_selector: selector.fields.clone(),
            timeout: Some(time.as_secs().try_into().unwrap_or(u32::MAX)),
            bookmarks: true,
            send_initial_events: false,
        };
        let events = match timeout(CALL, api.watch(&params, &version)).await {
            Ok(Ok(events)) => events,
            Ok(Err(kube::Error::Api(status))) if is_final(&status) => return Err(status),
            Ok(Err(_)) | Err(_) => return Ok(has_watched),
        };
        has_watched = true;
        let mut events = std::pin::pin!(events);
        let until = tokio::time::Instant::now() + time + LATE;
        loop {
            let event = tokio::time::timeout_at(until, events.try_next()).await;
            let Ok(Ok(event)) = event else {
                // It has said nothing, not even that it ends.
                return Ok(true);
            };
            match event {
                None => break,
                // Most often the version is too old.
                Some(WatchEvent::Error(_)) => return Ok(true),
                Some(WatchEvent::Bookmark(bookmark)) => {
                    version = bookmark.metadata.resource_version;
                }
                Some(event) => {
                    if let WatchEvent::Added(it)
                    | WatchEvent::Modified(it)
                    | WatchEvent::Deleted(it) = &event
                        && let Some(next) = &it.meta().resource_version
                    {
                        version.clone_from(next);
                    }
                    seen(event);
                }
            }
        }
        *lasts = (*lasts * 2).min(WATCH.1);
    }
}

fn apply<K: Resource>(objects: &mut BTreeMap<String, K>, event: WatchEvent<K>) {
    match event {
        WatchEvent::Added(it) | WatchEvent::Modified(it) => {
            objects.extend(name(&it).map(|name| (name, it)));
        }
        WatchEvent::Deleted(it) => {
            if let Some(name) = name(&it) {
                objects.remove(&name);
            }
        }
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => {}
    }
}

fn name<K: Resource>(object: &K) -> Option<String> {
    object.meta().name.clone()
}

/// Between three quarters of it and all of it: programs that begin at the same time do not stay together.
fn jittered(time: Duration) -> Duration {
    let part = u32::try_from(crate::random::bits() % 250).unwrap_or_default();
    time * (750 + part) / 1000
}
