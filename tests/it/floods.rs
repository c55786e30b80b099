//! P16: whatever a server writes, and however much, it runs on and costs your program little.

use std::{
    io::{self, Read as _, Write},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use tower_local_service::{ErrorKind, LocalServiceConfig, Registry};
use tracing::dispatcher;

use crate::support::{alone, amount, block_on, blocking_until, free_port, processor_time, status};

/// How many bytes of each kind are written.
fn flood() -> usize {
    amount("FLOOD_MIB", 16) << 20
}

/// Commands that write without end: one line, lines, bad UTF-8, NUL and escapes.
const ONE_LINE: &str = "tr '\\0' x </dev/zero";
const LINES: &str = "yes 'a line of a log, as long as such lines often are: 0123456789'";
const SOURCES: [&str; 5] = [
    ONE_LINE,
    LINES,
    "yes \"$(printf 'bad \\377\\376 bytes')\"",
    "cat /dev/zero",
    "tr '\\0' '\\033' </dev/zero",
];

/// Writes so many bytes, and exits with 7, which shows that it was not ended.
fn writer(source: &str, bytes: usize) -> [String; 2] {
    let script = format!("{source} | head -c {bytes} && exit 7");
    ["-c".to_owned(), script]
}

/// The output of a server that exits when it has written everything.
fn output_of(source: &str, bytes: usize) -> String {
    let config = LocalServiceConfig::new("/bin/sh")
        .args(writer(source, bytes))
        .ready_timeout(Duration::from_secs(600));
    let base_url = format!("http://127.0.0.1:{}/v1", free_port());
    let service = Registry::new().service("floods", base_url, config).unwrap();
    let error = block_on(service.acquire()).unwrap_err();
    let went_on = matches!(error.kind(), ErrorKind::Exited { code: Some(7), .. });
    assert!(went_on, "{source}: {error}");
    let tail = error.output_tail();
    tail.unwrap_or_else(|| panic!("{source}: {error}"))
        .to_owned()
}

/// The peak memory of this process, in KiB.
fn peak() -> u64 {
    status("self", "VmHWM")
}

/// How many bytes a subscriber has received.
static TOLD: AtomicUsize = AtomicUsize::new(0);

/// The writer of that subscriber.
struct Forgetful;

impl Write for Forgetful {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        TOLD.fetch_add(bytes.len(), Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
#[ignore = "run by the test below, in a process whose memory it can look at"]
fn plays_a_program_with_floods() {
    // What is allocated once: threads and buffers.
    drop(output_of(ONE_LINE, 1 << 20));
    let before = peak();
    let forgetful = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(|| Forgetful)
        .finish();
    for source in SOURCES {
        let tail = output_of(source, flood());
        // An escaped byte takes up to six bytes: `\u{1b}`.
        assert!(tail.len() <= 6 * 64 * 1024, "{source}: {}", tail.len());
        let is_shown = |c: char| c == '\n' || !c.is_control();
        assert!(tail.chars().all(is_shown), "{source} reaches a terminal");
    }
    dispatcher::with_default(&forgetful.into(), || {
        drop(output_of(ONE_LINE, flood() / 4));
        drop(output_of(LINES, flood() / 4));
    });
    // By a thread of its own, which may be behind.
    let is_logged = blocking_until(|| TOLD.load(Relaxed) > flood() / 2);
    assert!(is_logged, "all of it is logged");
    let more = peak() - before;
    assert!(more < 24 * 1024, "{more} KiB");
}

#[test]
fn a_flood_of_any_bytes_neither_ends_nor_blocks_its_server_and_takes_little_memory() {
    alone(&[], "floods::plays_a_program_with_floods");
}

fn cpu_time_of(what: impl FnOnce()) -> Duration {
    let before = processor_time();
    what();
    processor_time().saturating_sub(before)
}

/// Reads the same output, and drops it.
fn read_and_forget(args: [String; 2]) {
    let mut child = Command::new("/bin/sh")
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let mut chunk = vec![0; 16 * 1024];
    while pipe.read(&mut chunk).unwrap() > 0 {}
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
#[ignore = "a figure of the release build; run by .ci/long, as no other test may run beside it"]
#[expect(clippy::print_stderr, reason = "it prints a figure")]
fn much_output_at_the_start_costs_little_of_a_core() {
    const BYTES: usize = 32 << 20;

    let ours = cpu_time_of(|| drop(output_of(ONE_LINE, BYTES)));
    let lines = cpu_time_of(|| drop(output_of(LINES, BYTES)));
    let bare = cpu_time_of(|| read_and_forget(writer(ONE_LINE, BYTES)));
    eprintln!("32 MiB: {ours:?} in one line, {lines:?} in many; {bare:?} to read it at all");
    for cost in [ours, lines] {
        assert!(cost < Duration::from_millis(200), "{cost:?}");
    }
}
