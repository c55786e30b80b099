//! The example that the README shows, as its users run it.

use std::{
    io::Read,
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

#[cfg(unix)]
use rustix::process::{Pid, Signal, getpgid, kill_process, test_kill_process_group};
use tokio::time::Instant;

use crate::support::example;
#[cfg(unix)]
use crate::support::terminal;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

const QUESTION: &str = "> Who started you?";

const ANSWER: &str = "Nobody did, until you asked. Your request found no server here, started me as \
                      a process of its own, and waited until I was ready. Once nobody uses me any \
                      more, I am stopped.";

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(example("quickstart"));
    command.args(args).stdin(Stdio::null());
    command
}

/// The example while it runs.
struct Run {
    child: Child,
    begun: Instant,
    chunks: Receiver<Vec<u8>>,
    shown: Vec<u8>,
}

impl Run {
    fn start() -> Self {
        let mut child = command(&[])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example");
        let mut stdout = child.stdout.take().expect("its output");
        let (sender, chunks) = mpsc::channel();
        thread::spawn(move || {
            let mut chunk = [0; 1024];
            while let Ok(length @ 1..) = stdout.read(&mut chunk) {
                if sender.send(chunk[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            begun: Instant::now(),
            chunks,
            shown: Vec::new(),
        }
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    fn wait_for(&mut self, text: &str) {
        self.wait_until(text, |shown| shown.contains(text));
    }

    fn wait_for_line(&mut self, text: &str) {
        let ended = |shown: &str| shown.split_once(text).is_some_and(|it| it.1.contains('\n'));
        self.wait_until(text, ended);
    }

    fn wait_until(&mut self, text: &str, is_shown: impl Fn(&str) -> bool) {
        while !is_shown(&self.shown()) {
            let chunk = self.chunks.recv_timeout(PATIENCE);
            let Ok(chunk) = chunk else {
                panic!("{text:?} was never shown:\n{}", self.shown());
            };
            self.shown.extend(chunk);
        }
    }

    /// What it has started.
    fn server(&mut self) -> Server {
        self.wait_for_line(" as process ");
        Server {
            #[cfg(unix)]
            group: self.group(),
            port: self.number_behind("127.0.0.1:").try_into().expect("a port"),
        }
    }

    #[cfg(unix)]
    fn group(&self) -> Pid {
        let pid = Pid::from_raw(self.number_behind(" as process "));
        getpgid(pid).expect("the group of a process that runs")
    }

    fn number_behind(&self, text: &str) -> i32 {
        let shown = self.shown();
        let (_, rest) = shown.split_once(text).expect("the text");
        let end = rest.find(|it: char| !it.is_ascii_digit());
        rest[..end.expect("an end")].parse().expect("a number")
    }

    #[cfg(unix)]
    fn interrupt(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).expect("a process that runs");
    }

    /// Its exit code, how long it ran, and all that it has shown.
    fn end(mut self) -> (Option<i32>, Duration, String) {
        loop {
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => self.shown.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it hangs:\n{}", self.shown()),
            }
        }
        let status = self.child.wait().expect("its status");
        (status.code(), self.begun.elapsed(), self.shown())
    }
}

impl Drop for Run {
    /// A test that fails leaves nothing behind; the example's watchdog ends the server.
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

struct Server {
    /// The process group of the server and its watchdog.
    #[cfg(unix)]
    group: Pid,
    port: u16,
}

impl Server {
    /// Looks for the group and not for the process: another process may have its pid by now.
    fn assert_gone(&self) {
        #[cfg(unix)]
        assert!(
            test_kill_process_group(self.group).is_err(),
            "something is left of what was started"
        );
        let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        assert!(connected.is_err(), "something listens on its port");
    }
}

/// The phases that were shown, in order, and the rest.
fn phases(shown: &str) -> (Vec<&str>, String) {
    let phase = |line: &str| line.trim_start().split_once(" ms  ").is_some();
    let (phases, rest): (Vec<_>, Vec<_>) = shown.lines().partition(|line| phase(line));
    let names = phases.iter().map(|line| {
        let (_, line) = line.split_once(" ms  ").expect("a phase");
        line.split(' ').next().unwrap_or_default()
    });
    let words = rest.iter().flat_map(|line| line.split_whitespace());
    (names.collect(), words.collect::<Vec<_>>().join(" "))
}

#[test]
fn the_quickstart_shows_all_phases_and_the_answer_and_leaves_nothing() {
    let mut run = Run::start();
    let server = run.server();
    let (code, took, shown) = run.end();
    let (phases, answer) = phases(&shown);
    let wanted = [
        "probing",
        "starting",
        "loading",
        "ready",
        "streaming",
        "idle",
        "stopped",
    ];
    assert_eq!(phases, wanted, "{shown}");
    assert_eq!(answer, format!("{QUESTION} {ANSWER}"));
    let mut lines = shown.lines().filter(|line| !line.contains(" ms  "));
    assert!(lines.all(|line| line.len() <= 76), "{shown}");
    assert!(!shown.contains('\x1b'), "colours for a pipe: {shown}");
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    server.assert_gone();
}

#[test]
fn the_quickstart_shows_the_answer_token_by_token() {
    let mut run = Run::start();
    run.wait_for("Nobody did, ");
    assert!(!run.shown().contains("I am stopped."), "{}", run.shown());
    run.wait_for("I am stopped.");
}

// A program has to share a console with the one that interrupts it on Windows.
#[cfg(unix)]
#[test]
fn the_quickstart_leaves_nothing_when_it_is_interrupted_while_the_server_loads() {
    let mut run = Run::start();
    let server = run.server();
    run.interrupt();
    let (code, _, shown) = run.end();
    let (phases, answer) = phases(&shown);
    assert_eq!(phases, ["probing", "starting", "loading", "stopped"]);
    assert_eq!(answer, QUESTION);
    assert_eq!(code, Some(130));
    server.assert_gone();
}

// A program has to share a console with the one that interrupts it on Windows.
#[cfg(unix)]
#[test]
fn the_quickstart_leaves_nothing_when_it_is_interrupted_in_the_middle_of_the_answer() {
    let mut run = Run::start();
    let server = run.server();
    run.wait_for("Nobody did, ");
    run.interrupt();
    let (code, _, shown) = run.end();
    let (phases, answer) = phases(&shown);
    assert_eq!(phases[3..], ["ready", "streaming", "stopped"], "{shown}");
    assert!(!answer.contains("I am stopped."), "{answer}");
    assert_eq!(code, Some(130));
    server.assert_gone();
}

#[cfg(unix)]
/// One sentence that says this, and nothing that only a programmer understands.
fn assert_mistake(output: &std::process::Output, says: &[&str]) {
    let error = assert_failed(output, says);
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[cfg(unix)]
/// What happened, the last output if there is any, and a hint, each in a line.
fn assert_error(output: &std::process::Output, lines: &[&[&str]]) {
    let error = assert_failed(output, &lines.concat());
    assert_eq!(error.lines().count(), lines.len(), "{error}");
    for (line, says) in error.lines().zip(lines) {
        assert!(says.iter().all(|part| line.contains(part)), "{line}");
    }
}

#[cfg(unix)]
fn assert_failed(output: &std::process::Output, says: &[&str]) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    for part in says {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
    assert!(!error.contains("panicked") && !error.contains(" { "));
    assert_eq!(output.status.code(), Some(1));
    error.into_owned()
}

// By a path of Unix.
#[cfg(unix)]
#[test]
fn a_wrong_path_of_a_server_is_reported_with_a_hint() {
    let output = command(&["--server", "/nowhere/llama-server"]).output();
    let output = output.expect("the example");
    let happened: &[_] = &[
        "/nowhere/llama-server",
        "does not exist",
        "correct the path",
    ];
    assert_error(&output, &[happened, &["hint: correct the configuration"]]);
    assert!(!String::from_utf8_lossy(&output.stdout).contains("starting"));
}

#[cfg(unix)]
/// What it shows on a terminal, where its server fails at once.
fn on_a_terminal(no_color: Option<&str>) -> String {
    let (window, inside) = terminal();
    let mut command = command(&["--server", "sh", "-c", "exit 3"]);
    command.stdout(inside).stderr(Stdio::null());
    match no_color {
        Some(value) => command.env("NO_COLOR", value),
        None => command.env_remove("NO_COLOR"),
    };
    let status = command.status().expect("the example");
    assert_eq!(status.code(), Some(1));
    // With it ends the last program that has the terminal, and so what can be read.
    drop(command);
    let mut shown = Vec::new();
    drop(std::fs::File::from(window).read_to_end(&mut shown));
    String::from_utf8_lossy(&shown).into_owned()
}

// By a terminal or a shell of Unix.
#[cfg(unix)]
#[test]
fn colours_are_for_terminals_whose_users_want_them() {
    let shown = on_a_terminal(None);
    assert!(
        shown.contains("\x1b[1m> Who started you?\x1b[0m"),
        "{shown}"
    );
    let shown = on_a_terminal(Some("1"));
    assert!(
        shown.contains(QUESTION) && !shown.contains('\x1b'),
        "{shown}"
    );
    // By https://no-color.org an empty value is as none.
    assert!(on_a_terminal(Some("")).contains('\x1b'));
}

// By a terminal or a shell of Unix.
#[cfg(unix)]
#[test]
fn a_program_is_looked_up_in_path() {
    let output = command(&["--server", "sh", "-c", "exit 3"]).output();
    let output = output.expect("the example");
    assert_failed(&output, &["exited with code 3"]);
    let output = command(&["--server", "no-such-server"]).output();
    let says = ["no-such-server is not in PATH", "install it"];
    assert_mistake(&output.expect("the example"), &says);
}

// By a terminal or a shell of Unix.
#[cfg(unix)]
#[test]
fn a_missing_model_is_reported_in_one_sentence() {
    let args = ["--server", "/bin/sh", "--model", "/nowhere/none.gguf"];
    let output = command(&args).output().expect("the example");
    assert_mistake(
        &output,
        &["/nowhere/none.gguf", "does not exist", "correct the path"],
    );
}

// By a terminal or a shell of Unix.
#[cfg(unix)]
#[test]
fn a_taken_port_is_reported_in_one_sentence() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("its number").port().to_string();
    let output = command(&["--server", "/bin/sh", "--port", &port]).output();
    assert_mistake(
        &output.expect("the example"),
        &[&port, "is taken", "leave --port out"],
    );
}

// By a terminal or a shell of Unix.
#[cfg(unix)]
#[test]
fn a_server_that_ends_at_once_is_reported_with_its_code_and_output_and_a_hint() {
    let script = "echo no such gpu >&2; exit 3";
    let output = command(&["--server", "/bin/sh", "-c", script]).output();
    assert_error(
        &output.expect("the example"),
        &[
            &["exited with code 3"],
            &["last output: ", "no such gpu"],
            &["hint: run the command by hand"],
        ],
    );
}
