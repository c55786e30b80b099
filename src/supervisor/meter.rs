//! The metrics of services, by the facade of the crate `metrics`. `docs::observability` lists every name that is used
//! here.
//!
//! A recorder is foreign code. It runs on a thread of its own, so that one that blocks or panics delays and ends
//! nothing, and it sees nothing of a warm request.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Mutex, Once, PoisonError},
    time::Duration,
};

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::event_kind::EventKind;
use crate::{log, resources::Usage};

const STARTS: &str = "local_service_starts_total";
const START_DURATION: &str = "local_service_start_duration_seconds";
const WAIT_DURATION: &str = "local_service_wait_duration_seconds";
const STOPS: &str = "local_service_stops_total";
const UP: &str = "local_service_up";
const WAITERS: &str = "local_service_waiters";
const RESOURCE_USED: &str = "local_service_resource_used";
const RESOURCE_CAPACITY: &str = "local_service_resource_capacity";

/// Counts what happens to one service.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// The name under which it was asked for.
    service: String,
    is_up: bool,
    /// Its process was started, and is not ready.
    is_starting: bool,
    stops_for: Option<&'static str>,
    waiters: usize,
    /// Something happened since the resources were looked at.
    has_counted: bool,
}

impl Meter {
    pub(super) fn begin(&mut self, service: &str) {
        if self.service != service {
            self.set_waiters(0);
            service.clone_into(&mut self.service);
        }
    }

    pub(super) fn count(&mut self, kind: &EventKind) {
        self.has_counted = true;
        match kind {
            EventKind::Starting => self.is_starting = true,
            EventKind::Ready { took, .. } => {
                if mem::take(&mut self.is_starting) {
                    self.started("ready");
                    self.took(*took);
                }
                self.set_up(true);
            }
            EventKind::Stopping { reason } => self.stops_for = Some(reason),
            EventKind::Failed { .. } => {
                if mem::take(&mut self.is_starting) {
                    self.started("failed");
                }
            }
            EventKind::Stopped => self.stopped(),
            EventKind::Released => self.set_up(false),
            EventKind::Waiting { .. }
            | EventKind::Loading { .. }
            | EventKind::Idle
            | EventKind::MakingWay => {}
        }
    }

    /// Whether something happened since it was asked.
    pub(super) fn has_counted(&mut self) -> bool {
        mem::take(&mut self.has_counted)
    }

    fn stopped(&mut self) {
        let reason = self.stops_for.take();
        if mem::take(&mut self.is_starting) {
            self.started(if reason.is_some() {
                "stopped"
            } else {
                "failed"
            });
        }
        let (service, reason) = (self.service.clone(), reason.unwrap_or("exited"));
        record(move || counter!(STOPS, "service" => service, "reason" => reason).increment(1));
        self.set_up(false);
    }

    fn started(&self, outcome: &'static str) {
        let service = self.service.clone();
        record(move || counter!(STARTS, "service" => service, "outcome" => outcome).increment(1));
    }

    fn took(&self, took: Duration) {
        let service = self.service.clone();
        record(move || histogram!(START_DURATION, "service" => service).record(took));
    }

    fn set_up(&mut self, is_up: bool) {
        if mem::replace(&mut self.is_up, is_up) != is_up {
            let (service, value) = (self.service.clone(), f64::from(u8::from(is_up)));
            record(move || gauge!(UP, "service" => service).set(value));
        }
    }

    pub(super) fn set_waiters(&mut self, waiters: usize) {
        if mem::replace(&mut self.waiters, waiters) != waiters {
            let service = self.service.clone();
            record(move || gauge!(WAITERS, "service" => service).set(as_number(waiters as u64)));
        }
    }
}

impl Drop for Meter {
    /// The service is gone, or its supervisor has panicked.
    fn drop(&mut self) {
        self.set_up(false);
        self.set_waiters(0);
    }
}

/// A request had to wait.
pub(super) fn waited(service: &str, waited: Duration, is_served: bool) {
    let service = service.to_owned();
    let outcome = if is_served { "served" } else { "failed" };
    record(move || {
        histogram!(WAIT_DURATION, "service" => service, "outcome" => outcome).record(waited);
    });
}

/// How each named resource is used, if that has changed.
pub(super) fn set_resources(usage: BTreeMap<String, Usage>) {
    static SHOWN: Mutex<BTreeMap<String, (u64, u64)>> = Mutex::new(BTreeMap::new());
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for (resource, usage) in usage {
        let amounts = usage.holders.iter().map(|(_, amount)| amount.get());
        let now = (amounts.sum(), usage.capacity.get());
        if shown.insert(resource.clone(), now) != Some(now) {
            record(move || {
                let (used, capacity) = now;
                gauge!(RESOURCE_USED, "resource" => resource.clone()).set(as_number(used));
                gauge!(RESOURCE_CAPACITY, "resource" => resource).set(as_number(capacity));
            });
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is one")]
fn as_number(amount: u64) -> f64 {
    amount as f64
}

fn record(job: impl FnOnce() + Send + 'static) {
    log::record(move || {
        static DESCRIBED: Once = Once::new();
        // A recorder that panics at it gets the metrics all the same.
        DESCRIBED.call_once(|| {
            log::isolated(describe);
        });
        job();
    });
}

fn describe() {
    describe_counter!(STARTS, "Processes that were started, by how that ended");
    describe_histogram!(
        START_DURATION,
        Unit::Seconds,
        "Time from the start of a process until it was ready"
    );
    describe_histogram!(
        WAIT_DURATION,
        Unit::Seconds,
        "Time that requests waited which could not be sent immediately"
    );
    describe_counter!(STOPS, "Processes of which nothing is left, by the reason");
    describe_gauge!(UP, "Whether the service is ready");
    describe_gauge!(WAITERS, "Requests that wait for the service");
    describe_gauge!(
        RESOURCE_USED,
        "How much of a named resource services of this program have"
    );
    describe_gauge!(RESOURCE_CAPACITY, "How much of a named resource there is");
}
