//! What a service writes.

use std::{
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use super::*;

async fn text_of(script: &str) -> String {
    let mut process = start(sh(script)).await;
    within_limit(process.ended()).await;
    text(&process)
}

#[tokio::test]
async fn the_output_is_complete_after_the_exit() {
    assert_eq!(
        text_of("echo out; echo err >&2; printf end").await.len(),
        11
    );
}

#[tokio::test]
async fn pipes_that_another_process_holds_are_waited_for_once() {
    let mut process = start(sh("sleep 1000 & exit 3")).await;
    let interrupted = async {
        while time::timeout(Duration::from_millis(20), process.ended())
            .await
            .is_err()
        {}
    };
    within_limit(interrupted).await;
}

#[tokio::test]
async fn a_flood_without_a_line_end_is_drained_and_bounded() {
    let text = text_of("head -c 20000000 /dev/zero | tr '\\0' x; echo; echo done").await;
    assert!(text.len() <= 64 * 1024);
    assert!(text.ends_with("x\ndone\n"), "the process ran to its end");
}

#[tokio::test]
async fn no_byte_ends_the_reader() {
    let text = text_of("printf 'a\\377b\\000c\\033[31md\\re\\n'; echo after").await;
    assert_eq!(text, "a\u{fffd}b\\u{0}c\\u{1b}[31md\ne\nafter\n");
}

#[tokio::test]
async fn a_process_that_closes_its_output_is_not_ended() {
    let mut process = up("echo up; exec >&- 2>&-; sleep 1000").await;
    within_limit(process.pipes.ended()).await;
    assert!(process.is_alive());
    finish(process).await;
}

#[tokio::test]
async fn secrets_are_replaced_when_the_output_is_read() {
    let mut process = start(sh("echo key=sk-12345678 port=8080")).await;
    within_limit(process.ended()).await;
    let secrets = Secrets {
        values: vec!["sk-12345678".into()],
    };
    let text = process.output.text(&secrets);
    assert_eq!(text, "key=[redacted] port=8080\n");
}

/// The tests of subscribers share one thread that logs: one after the other.
static ONE_LOG: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What a subscriber printed.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn each_line_is_an_event() {
    let _alone = ONE_LOG.lock().await;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("tower_local_service::output=debug"))
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    // While a program has only one subscriber, `tracing` asks the thread that reaches an event first: that
    // of another test, which has none. So there are two.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _listening = tracing::subscriber::set_default(subscriber);

    let secrets = Secrets {
        values: vec!["sk-12345678".into()],
    };
    let output = OutputSink::new("llama", Arc::new(secrets));
    let script = "echo first; printf 'sk-12345678\\033[2J' >&2";
    let mut process = spawn(SHELL, processes(sh(script)), output).await.unwrap();
    within_limit(process.ended()).await;

    eventually("both lines", || {
        let text = log.text();
        text.contains("first") && text.contains("stderr")
    })
    .await;
    let text = log.text();
    let line = |wanted: &str| {
        let found = text.lines().find(|line| line.contains(wanted));
        found.unwrap_or_else(|| panic!("{wanted} is not in {text}"))
    };
    assert!(line("first").contains("service=\"llama\" stream=\"stdout\""));
    assert!(line("[redacted]\\u{1b}[2J").contains("stream=\"stderr\""));
    assert!(!text.contains("sk-123"));
}

/// A writer with a bug.
struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        panic!("a subscriber's bug")
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_subscriber_that_panics_ends_nothing() {
    let _alone = ONE_LOG.lock().await;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("tower_local_service::output=debug"))
        .with_writer(|| Broken)
        .finish();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _listening = tracing::subscriber::set_default(subscriber);
    // More than a pipe holds: without a reader the script would block, or die of SIGPIPE.
    let script = "for n in 1 2 3 4; do head -c 100000 /dev/zero | tr '\\0' '\\n'; done && exit 7";
    let mut process = start(sh(script)).await;
    assert_eq!(within_limit(process.ended()).await.code, Some(7));
    finish(process).await;
}

/// A writer that does not return, as of a log whose reader is suspended.
struct Blocked(Arc<AtomicBool>);

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while !self.0.load(Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets the writer return when the test has ended in any way.
#[derive(Default)]
struct Release(Arc<AtomicBool>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[tokio::test]
async fn a_subscriber_that_blocks_delays_nothing() {
    let _alone = ONE_LOG.lock().await;
    let release = Release::default();
    let blocked = Arc::clone(&release.0);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("tower_local_service::output=debug"))
        .with_writer(move || Blocked(Arc::clone(&blocked)))
        .finish();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _listening = tracing::subscriber::set_default(subscriber);
    let script = "for n in 1 2 3 4; do head -c 2000000 /dev/zero | tr '\\0' '\\n'; done && exit 7";
    let mut process = start(sh(script)).await;
    assert_eq!(within_limit(process.ended()).await.code, Some(7));
    assert!(text(&process).len() > 1000);
    let mut other = up("echo up; sleep 1000").await;
    other.stop();
    within_limit(other.gone()).await;
    finish(process).await;
}

/// A writer that stands still until it is released, and then keeps the first bytes of each line.
#[derive(Clone)]
struct Slow(Log, Arc<AtomicBool>);

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Blocked(Arc::clone(&self.1)).write(bytes)?;
        let kept = &bytes[..bytes.len().min(200)];
        self.0.write_all(kept)?;
        self.0.write_all(b"\n")?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn lines_that_a_slow_log_does_not_take_are_counted() {
    let _alone = ONE_LOG.lock().await;
    let log = Log::default();
    let release = Release::default();
    let slow = Slow(log.clone(), Arc::clone(&release.0));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("tower_local_service=debug"))
        .with_ansi(false)
        .with_writer(move || slow.clone())
        .finish();
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _listening = tracing::subscriber::set_default(subscriber);
    // More than is kept for it, all within the first write.
    let script = "trap 'go=1' USR1; line=$(head -c 5000 /dev/zero | tr '\\0' x); echo first; n=0
                  while [ $n -lt 2000 ]; do echo $line; n=$((n+1)); done; echo flooded
                  while [ -z \"$go\" ]; do sleep 0.05; done; echo last";
    let mut process = start(sh(script)).await;
    said(&process, "flooded\n").await;
    drop(release);
    eventually("the first line", || log.text().contains("first")).await;
    send(process.pid(), Signal::USR1);
    within_limit(process.ended()).await;
    eventually("the last line", || log.text().contains("last")).await;
    let text = log.text();
    let reported: Vec<_> = text
        .lines()
        .filter(|line| line.contains("were not logged"))
        .collect();
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert!(
        reported[0].contains("WARN") && reported[0].contains("lines="),
        "{reported:?}"
    );
    finish(process).await;
}
