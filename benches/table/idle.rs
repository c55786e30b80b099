//! A service that no request uses: it rests, and is stopped at its time.

use std::{fs, thread, time::Duration};

use rustix::process::Signal;
use tower_local_service::{LocalService, LocalServiceConfig};

use crate::{
    row::{Row, time},
    sample::Sample,
    support::{Fixture, block_on, blocking_until, group_of, now, signal, status},
};

/// For how long wake-ups are counted.
const REST: Duration = Duration::from_secs(10);
/// What is still to be done after a start or stop: up to 2 s for the last answers of a process that has ended.
const TO_REST: Duration = Duration::from_secs(3);

const IDLE: Duration = Duration::from_millis(300);
const STOPS: usize = 30;
const LATE: Duration = Duration::from_millis(5);

pub(crate) fn measure() -> Vec<Row> {
    let mut rows = rests();
    rows.push(stop());
    rows
}

fn rests() -> Vec<Row> {
    let fixture = Fixture::new();
    let service = fixture.service("rests");
    block_on(service.start()).unwrap();
    let warm = rest("running, never stopped for being idle", &service);
    block_on(service.stop()).unwrap();
    let stopped = rest("stopped", &service);

    let fixture = Fixture::new();
    let an_hour = |config: LocalServiceConfig| config.idle_stop(Duration::from_secs(3600));
    let service = fixture.configured("rests for an hour", an_hour(fixture.config()));
    block_on(service.start()).unwrap();
    let timed = rest("running, stopped after an hour", &service);
    vec![warm, timed, stopped]
}

fn rest(what: &str, service: &LocalService) -> Row {
    thread::sleep(TO_REST);
    let ours = threads_of_this_crate(service);
    let before = wake_ups(&ours);
    thread::sleep(REST);
    let woken = wake_ups(&ours) - before;
    Row::new(
        format!("wake-ups in 10 s with an idle service: {what}"),
        woken,
        "0",
        woken == 0,
    )
}

/// The thread of the supervisors, and the watchdog of the process.
fn threads_of_this_crate(service: &LocalService) -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = |path: &String| {
        let name = fs::read_to_string(format!("/proc/{path}/comm"));
        name.is_ok_and(|name| name.trim() == "local-service")
    };
    let mut ours: Vec<_> = tasks
        .map(|task| format!("self/task/{}", task.file_name().display()))
        .filter(named)
        .collect();
    assert_eq!(ours.len(), 1, "the crate has one thread");
    let watchdog = service.status().pid.and_then(group_of);
    ours.extend(watchdog.map(|pid| pid.to_string()));
    ours
}

/// How often these threads have been switched to.
fn wake_ups(threads: &[String]) -> u64 {
    let fields = ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"];
    let of = |thread: &String| fields.map(|field| status(thread, field));
    threads.iter().flat_map(of).sum()
}

fn stop() -> Row {
    let both = (0..STOPS).map(|_| (late_by_us(), late_by_hand()));
    let (ours, bare): (Vec<_>, Vec<_>) = both.unzip();
    let early = ours.iter().filter(|it| it.is_none()).count();
    let ours = Sample::new(ours.into_iter().flatten().collect());
    Row::new(
        format!("idle stop, {STOPS} times: TERM after its time; without: a thread that sleeps"),
        format!("{}, {early} early", spread(&ours)),
        format!("at most {}, none early", time(LATE)),
        ours.percentile(100) <= LATE && early == 0,
    )
    .beside(spread(&Sample::new(bare)))
}

/// How long after the idle time TERM came; `None`: before.
fn late_by_us() -> Option<Duration> {
    let fixture = Fixture::new().notes_signals();
    let service = fixture.configured("stops", fixture.config().idle_stop(IDLE));
    let lease = block_on(service.acquire()).unwrap();
    let due = now() + IDLE;
    drop(lease);
    first_term(&fixture).checked_sub(due)
}

/// The same stop by a thread that only sleeps: what the machine and the fixture take themselves.
fn late_by_hand() -> Duration {
    let fixture = Fixture::new().notes_signals();
    let server = fixture.run_outside();
    let due = now() + IDLE;
    thread::sleep(IDLE);
    signal(server.pid(), Signal::TERM);
    first_term(&fixture).saturating_sub(due)
}

fn first_term(fixture: &Fixture) -> Duration {
    assert!(blocking_until(|| !fixture.terms().is_empty()), "no TERM");
    fixture.terms()[0]
}

fn spread(sample: &Sample) -> String {
    let [median, p95, most] = [50, 95, 100].map(|percent| time(sample.percentile(percent)));
    format!("{median}, p95 {p95}, at most {most}")
}
