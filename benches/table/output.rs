//! A server that writes as much as it can: how fast that is read, and into how much memory.

use std::{
    fs,
    io::Read as _,
    process::{Command, Stdio},
    time::Duration,
};

use tower_local_service::{ErrorKind, LocalServiceConfig, Registry};

use crate::{
    kernel,
    pairs::Pairs,
    row::{Row, digits},
    support::{Fixture, block_on, free_port, now, since},
};

/// What is written: a file of that size, so many times. A program that computes its bytes would be slower.
const FILE: usize = 16_000_000;
const COPIES: usize = 63;
const GIGABYTE: f64 = 1.008e9;

const PROGRAM: &str = "/bin/cat";

/// How much the bare loop reads at once: as much as the crate.
const CHUNK: usize = 16 * 1024;

const PAIRS: usize = 5;

/// In MB a second.
const FAST_ENOUGH: f64 = 500.0;

/// In bytes.
const MOST_MEMORY: u64 = 8 << 20;

/// Each line of the log.
const LINE: &str = "a line of a log, as long as such lines often are: 0123456789\n";

pub(crate) fn measure() -> Vec<Row> {
    let fixture = Fixture::new();
    let warm_up = Writer::new(&fixture, "warm-up", "x", 1);
    let one_line = Writer::new(&fixture, "one-line", "x", COPIES);
    let lines = Writer::new(&fixture, "lines", LINE, COPIES);
    // The threads and buffers are made once, before the measurement.
    warm_up.drained_by_the_crate();
    kernel::forget_peak();
    let before = kernel::peak();
    vec![
        speed("without newlines", &one_line),
        speed("in lines", &lines),
        memory(kernel::peak() - before),
    ]
}

/// A program that writes the file so many times, and ends.
struct Writer {
    args: Vec<String>,
}

impl Writer {
    fn new(fixture: &Fixture, name: &str, line: &str, copies: usize) -> Self {
        let path = fixture.path(name);
        let text = line.repeat(FILE / line.len() + 1);
        fs::write(&path, &text[..FILE]).unwrap();
        let args = vec![path; copies];
        Self { args }
    }

    /// Drained by the crate: from the start to the error that says that the program has ended.
    fn drained_by_the_crate(&self) -> Duration {
        let config = LocalServiceConfig::new(PROGRAM)
            .args(self.args.clone())
            .ready_timeout(Duration::from_secs(600));
        let base_url = format!("http://127.0.0.1:{}/v1", free_port());
        let service = Registry::new().service("output", base_url, config);
        let service = service.unwrap();
        let begun = now();
        let error = block_on(service.acquire()).unwrap_err();
        let took = since(begun);
        let ended = matches!(error.kind(), ErrorKind::Exited { code: Some(0), .. });
        assert!(ended, "{error}");
        took
    }

    /// Drained by a loop that reads and forgets.
    fn drained_by_hand(&self) -> Duration {
        let mut command = Command::new(PROGRAM);
        command.args(&self.args).stdin(Stdio::null());
        let begun = now();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdout.take().unwrap();
        let mut chunk = vec![0; CHUNK];
        while pipe.read(&mut chunk).unwrap() > 0 {}
        assert!(child.wait().unwrap().success());
        since(begun)
    }
}

fn speed(what: &str, writer: &Writer) -> Row {
    let ours = || writer.drained_by_the_crate();
    let pairs = Pairs::measure(PAIRS, || writer.drained_by_hand(), ours);
    let speed = |took: Duration| GIGABYTE / 1e6 / took.as_secs_f64();
    let (ours, bare) = (speed(pairs.ours.median()), speed(pairs.bare.median()));
    Row::new(
        format!("1 GB of output {what}; without: a loop that reads"),
        format!("{} MB/s", digits(ours)),
        format!("≥ {FAST_ENOUGH} MB/s"),
        ours >= FAST_ENOUGH,
    )
    .beside(format!("{} MB/s", digits(bare)))
}

fn memory(more: u64) -> Row {
    Row::new(
        "memory that this takes at its peak, by VmHWM",
        format!("{} KiB", more / 1024),
        format!("< {} KiB", MOST_MEMORY / 1024),
        more < MOST_MEMORY,
    )
}
