//! What happened to the servers in the last hour, and what happens next.

use std::{
    collections::VecDeque,
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tower_local_service::{Event, Events};

const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

/// How many events are kept, however young they are.
const MOST: usize = 2000;

/// The events of the last hour. Clones have the same ones.
#[derive(Clone, Debug)]
pub(crate) struct History(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Random: tells the events of this gateway from those of the one before it.
    gateway: u64,
    kept: Mutex<Kept>,
    /// How many events there were.
    count: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the first that is kept.
    first: u64,
    events: VecDeque<(Instant, Event)>,
}

/// The number of an event, by which a reader that was cut off finds the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    gateway: u64,
    number: u64,
}

/// Reads events one after the other. A slow reader delays nothing, and finds out how many it has missed.
#[derive(Debug)]
pub(crate) struct Reader {
    history: History,
    next: u64,
    /// How many were lost since the last one.
    missed: u64,
    count: watch::Receiver<u64>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            gateway: RandomState::new().build_hasher().finish(),
            kept: Mutex::default(),
            count: watch::Sender::new(0),
        }))
    }

    /// Keeps what happens, as long as it is polled.
    pub(crate) async fn record(&self, mut events: Events) {
        loop {
            let event = events.next().await;
            self.keep(event);
        }
    }

    fn keep(&self, event: Event) {
        let mut kept = self.kept();
        kept.events.push_back((Instant::now(), event));
        kept.forget();
        let count = kept.first + kept.events.len() as u64;
        drop(kept);
        self.0.count.send_replace(count);
    }

    /// What happens from now on.
    pub(crate) fn read_on(&self) -> Reader {
        let next = *self.0.count.borrow();
        self.read(next)
    }

    /// First what has happened in the last hour.
    pub(crate) fn read_past(&self) -> Reader {
        let mut kept = self.kept();
        kept.forget();
        let first = kept.first;
        drop(kept);
        self.read(first)
    }

    /// What has happened after that event; all that is kept if it is one of another gateway.
    pub(crate) fn read_after(&self, last: EventId) -> Reader {
        if last.gateway == self.0.gateway {
            self.read(last.number + 1)
        } else {
            self.read_past()
        }
    }

    fn read(&self, next: u64) -> Reader {
        Reader {
            history: self.clone(),
            next,
            missed: 0,
            count: self.0.count.subscribe(),
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// What is too old, or too much.
    fn forget(&mut self) {
        while self.is_first_over() {
            self.events.pop_front();
            self.first += 1;
        }
    }

    fn is_first_over(&self) -> bool {
        let first = self.events.front();
        let is_old = first.is_some_and(|(at, _)| at.elapsed() > KEPT_FOR);
        is_old || self.events.len() > MOST
    }
}

impl Reader {
    /// The next event, with how many were lost before it.
    pub(crate) async fn next(&mut self) -> (EventId, Event) {
        loop {
            let next = self.next;
            if self.count.wait_for(|count| *count > next).await.is_err() {
                // Cannot happen: the history, which lives, has the sender.
                std::future::pending::<()>().await;
            }
            if let Some(next) = self.take() {
                return next;
            }
        }
    }

    /// `None` if all that there were are forgotten.
    fn take(&mut self) -> Option<(EventId, Event)> {
        let kept = self.history.kept();
        let number = self.next.max(kept.first);
        let at = usize::try_from(number - kept.first).ok()?;
        let event = kept.events.get(at).map(|(_, event)| event.clone());
        drop(kept);
        self.missed += number - self.next;
        self.next = number;
        let mut event = event?;
        event.missed += std::mem::take(&mut self.missed);
        self.next += 1;
        let gateway = self.history.0.gateway;
        Some((EventId { gateway, number }, event))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.gateway, self.number)
    }
}

impl FromStr for EventId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (gateway, number) = text.split_once('.').ok_or(())?;
        Ok(Self {
            gateway: gateway.parse().map_err(|_| ())?,
            number: number.parse().map_err(|_| ())?,
        })
    }
}
