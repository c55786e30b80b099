//! The metrics of services: a recorder is foreign code, and may do what it likes.

use std::{
    sync::{
        Once,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, SharedString, Unit};
use tokio::sync::Mutex;

use crate::support::{Fixture, ask, eventually, within};

const PANICS: &str = "recorder-panics";
const BLOCKS: &str = "recorder-blocks";

/// There is one recorder, and one thread that runs it.
static ONE_RECORDER: Mutex<()> = Mutex::const_new(());

static PANICKED: AtomicUsize = AtomicUsize::new(0);
static RECORDED: AtomicUsize = AtomicUsize::new(0);
static IS_BLOCKED: AtomicBool = AtomicBool::new(false);

/// The recorder of this program. What it does depends on the service.
struct Recorder;

impl Recorder {
    fn install() {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| metrics::set_global_recorder(Self).ok().unwrap());
    }

    fn take(key: &Key) {
        let service = key.labels().find(|label| label.key() == "service");
        match service.map(metrics::Label::value) {
            Some(PANICS) => {
                PANICKED.fetch_add(1, Relaxed);
                panic!("the recorder has a bug");
            }
            Some(BLOCKS) => {
                while IS_BLOCKED.load(Relaxed) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                RECORDED.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }
}

impl metrics::Recorder for Recorder {
    /// Once, and what comes after it is recorded all the same.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("the recorder has another bug");
    }

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Self::take(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Self::take(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Self::take(key);
        Histogram::noop()
    }
}

/// Lets the recorder run again, also when a test fails.
struct Block;

impl Block {
    fn begin() -> Self {
        IS_BLOCKED.store(true, Relaxed);
        Self
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        IS_BLOCKED.store(false, Relaxed);
    }
}

/// Cold and warm requests, and stops: each has its metrics.
async fn is_served_and_stopped(fixture: &Fixture, name: &str) {
    let service = fixture.configured(name, fixture.config());
    for n in 1..=3 {
        for _ in 0..3 {
            let answer = within("an answer", ask(&service, &fixture.url("/hello"))).await;
            assert_eq!(answer.unwrap().1, "hello");
        }
        within("a stop", service.stop()).await.unwrap();
        assert_eq!(fixture.starts().len(), n);
    }
}

#[tokio::test]
async fn a_recorder_that_panics_fails_no_request_and_ends_no_server() {
    let _alone = ONE_RECORDER.lock().await;
    Recorder::install();
    is_served_and_stopped(&Fixture::new(), PANICS).await;
    // Each of the three times at least a start, a wait and a stop.
    eventually("it panics", || PANICKED.load(Relaxed) >= 9).await;
}

#[tokio::test]
async fn a_recorder_that_blocks_delays_no_request_and_no_stop() {
    let _alone = ONE_RECORDER.lock().await;
    Recorder::install();
    let blocked = Block::begin();
    is_served_and_stopped(&Fixture::new(), BLOCKS).await;
    assert_eq!(RECORDED.load(Relaxed), 0, "the recorder stands still");
    drop(blocked);
    eventually("what has waited is recorded", || {
        RECORDED.load(Relaxed) >= 1
    })
    .await;
}
