//! What the layer adds to a request while the server runs.

use std::{
    env, fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use criterion::Criterion;
use serde_json::Value;

use crate::{
    row::{Row, digits, time},
    running::{Running, running},
    support::{block_on, can},
    warm,
};

const MANY: u64 = 100_000;
/// How many instructions the layer may add to a warm request.
const INSTRUCTIONS: u64 = 450;
/// Makes this program do nothing but that many requests, for `strace`.
const ONLY_REQUESTS: &str = "WARM_REQUESTS";

pub(crate) fn measure() -> Vec<Row> {
    let Running {
        service, fixture, ..
    } = &running("warm");
    block_on(service.start()).expect("it runs");
    let (mut bare, mut layered) = (warm::bare(), warm::layered(service, warm::bare()));
    let (mut late, mut late_layered) = (warm::late(), warm::layered(service, warm::late()));
    let asked = || fixture.requests().len();

    let before = asked();
    let reference = reference();
    let mut rows = vec![
        added(
            "a warm request",
            ("bare", &mut || warm::request(&mut bare)),
            ("layered", &mut || warm::request(&mut layered)),
            reference,
            Duration::from_nanos(100),
        ),
        added(
            "the same, its answer and body pending once",
            ("late", &mut || warm::request(&mut late)),
            ("late layered", &mut || warm::request(&mut late_layered)),
            reference,
            Duration::from_nanos(200),
        ),
    ];
    let allocations = |request: &mut dyn FnMut()| {
        let counted = allocation_counter::measure(|| (0..MANY).for_each(|_| request()));
        counted.count_total
    };
    let in_bare = allocations(&mut || warm::request(&mut bare));
    let in_layered = allocations(&mut || warm::request(&mut layered));
    let probes = asked() - before;

    rows.extend(instructions());
    rows.extend([
        Row::new(
            format!("allocations in {MANY} warm requests"),
            in_layered,
            "none more",
            in_layered == in_bare,
        )
        .beside(in_bare),
        system_calls(),
        Row::new("probes in all of these", probes, "none", probes == 0),
    ]);
    rows
}

type Measured<'a> = (&'a str, &'a mut dyn FnMut());

/// The time added, and how many times the reference that is.
fn added(
    what: &str,
    bare: Measured<'_>,
    layered: Measured<'_>,
    reference: Duration,
    budget: Duration,
) -> Row {
    let (without, with) = (median(bare.0, bare.1), median(layered.0, layered.1));
    let added = with.saturating_sub(without);
    Row::new(
        format!("{what}, time added by the layer; without: 2 exchanges, 2 clones of an `Arc`"),
        format!(
            "{} (to {}), ×{}",
            time(added),
            time(without),
            digits(added.div_duration_f64(reference))
        ),
        format!("≤ {}", time(budget)),
        added <= budget,
    )
    .beside(time(reference))
}

/// What no lease can do without, on this machine and in this run: CPUs differ.
fn reference() -> Duration {
    let (word, handle) = (AtomicU64::new(0), Arc::new(()));
    median("reference", || {
        for _ in 0..2 {
            let before = word.load(SeqCst);
            let exchanged = word.compare_exchange(before, before + 1, SeqCst, SeqCst);
            let _ = black_box(exchanged);
            drop(black_box(handle.clone()));
        }
    })
}

/// The median time, as criterion estimates it.
fn median(name: &str, mut request: impl FnMut()) -> Duration {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
    let mut criterion = Criterion::default().output_directory(&folder);
    criterion.bench_function(name, |bencher| bencher.iter(&mut request));
    let estimates = folder.join(name).join("new/estimates.json");
    let estimates = fs::read(estimates).expect("what criterion has estimated");
    let estimates: Value = serde_json::from_slice(&estimates).expect("an object");
    let nanos = estimates["median"]["point_estimate"].as_f64();
    Duration::from_secs_f64(nanos.expect("a number") / 1e9)
}

/// As the benchmark `instructions` counts them, which fails if they have become more.
fn instructions() -> Vec<Row> {
    let what = "a warm request, instructions added by the layer";
    let late = "the same, its answer and body pending once";
    let budget = format!("≤ {INSTRUCTIONS}");
    if !can(&["valgrind", "--version"]) || !can(&["gungraun-runner", "--version"]) {
        return vec![Row::new(
            what,
            "needs valgrind and gungraun-runner",
            budget,
            false,
        )];
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = [
        "bench",
        "--bench",
        "instructions",
        "--",
        "--output-format=json",
    ];
    let output = Command::new(cargo)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "more instructions than there were");
    let counted = |name: &str| {
        let lines = output.stdout.split(|byte| *byte == b'\n');
        let mut parsed = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let of_it = parsed.find(|it| it["function_name"] == name);
        let total = of_it.and_then(|it| {
            it["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"].as_u64()
        });
        total.expect("a number of instructions")
    };
    let added = |without: &str, with: &str| {
        let (without, with) = (counted(without), counted(with));
        (with.saturating_sub(without), without)
    };
    let (ready, to_ready) = added("without_the_layer", "with_the_layer");
    let (pending, to_pending) = added("late_without_the_layer", "late_with_the_layer");
    vec![
        Row::new(
            what,
            format!("{ready} (to {to_ready})"),
            budget,
            ready <= INSTRUCTIONS,
        ),
        Row::new(
            late,
            format!("{pending} (to {to_pending})"),
            "≤ twice the row above",
            pending <= 2 * ready,
        ),
    ]
}

/// The system calls of the thread that sends the requests.
fn system_calls() -> Row {
    let what = format!("system calls in {MANY} warm requests");
    let budget = "none";
    if !can(&["strace", "true"]) {
        return Row::new(what, "needs strace", budget, false);
    }
    let (none, many) = (fewest_calls_with(0), fewest_calls_with(MANY));
    let added = many.saturating_sub(none);
    Row::new(what, added, budget, added == 0)
}

/// The fewest of three tries: a start waits once more, or once less, from time to time.
fn fewest_calls_with(requests: u64) -> u64 {
    let calls = (0..3).map(|_| calls_with(requests));
    calls.min().expect("it was started")
}

/// The system calls of a process that sends so many requests and does nothing else.
fn calls_with(requests: u64) -> u64 {
    let log: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("strace.log");
    let status = Command::new("strace")
        .args(["-c", "-o"])
        .arg(&log)
        .arg(env::current_exe().expect("this program"))
        .env(ONLY_REQUESTS, requests.to_string())
        .status()
        .expect("strace runs");
    assert!(status.success(), "{status}");
    let table = fs::read_to_string(log).expect("what strace has counted");
    let total = table.lines().find(|line| line.ends_with(" total"));
    let calls = total.and_then(|line| line.split_whitespace().nth(3));
    calls.and_then(|calls| calls.parse().ok()).expect("a total")
}

/// Sends the requests and returns `true` if this process was started only for that.
pub(crate) fn only_requests() -> bool {
    let Some(requests) = env::var(ONLY_REQUESTS)
        .ok()
        .and_then(|it| it.parse::<u64>().ok())
    else {
        return false;
    };
    let running = running("traced");
    block_on(running.service.start()).expect("it runs");
    let mut client = warm::layered(&running.service, warm::bare());
    (0..requests).for_each(|_| warm::request(&mut client));
    true
}
