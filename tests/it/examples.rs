//! The smaller examples, as their users run them. Each has a server of its own, and leaves nothing.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PATIENCE, blocking_until, example, free_port, get, processes_with};

const ANSWER: &str = "Nobody did, until you asked.";

/// Fails unless the example succeeds, and no process of it is left. Returns what it printed.
#[track_caller]
fn run(name: &str, args: &[&str]) -> String {
    let output = output(name, args);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{name}: {stdout}{stderr}");
    stdout
}

fn output(name: &str, args: &[&str]) -> Output {
    let program = example(name);
    let output = Command::new(&program)
        .args(args)
        .stdin(Stdio::null())
        .output();
    assert_gone(name);
    output.expect("the example")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server is the example once more, with `--serve`.
#[track_caller]
fn assert_gone(name: &str) {
    let server = format!("{} --serve", example(name).display());
    let left = processes_with(&server);
    assert!(left.is_empty(), "{name} left {left:?}");
}

#[test]
fn the_demo_keeps_its_seven_promises() {
    let shown = run("demo", &[]);
    for number in 1..=7 {
        assert!(shown.contains(&format!("\n  {number}. ")), "{shown}");
    }
}

#[test]
fn the_client_of_hyper_util_starts_its_server() {
    let shown = run("hyper_util", &[]);
    assert!(
        shown.contains("started the server") && shown.contains("200 OK"),
        "{shown}"
    );
}

#[test]
fn a_launcher_of_ones_own_starts_a_server_that_is_no_process() {
    let shown = run("launcher", &[&free_port().to_string()]);
    for part in [
        "ends with this program: true",
        "it wrote: greeting on port",
        "stopped: Stopped",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
}

#[cfg(feature = "reqwest")]
#[test]
fn the_client_of_reqwest_starts_its_server() {
    let shown = run("reqwest", &[]);
    assert!(
        shown.contains("200 OK") && shown.contains("small"),
        "{shown}"
    );
}

#[cfg(feature = "reqwest-middleware")]
#[test]
fn the_client_of_reqwest_middleware_starts_its_server() {
    let shown = run("reqwest_middleware", &[]);
    assert!(
        shown.contains("200 OK") && shown.contains("small"),
        "{shown}"
    );
}

#[cfg(feature = "retry")]
#[test]
fn a_killed_server_is_not_noticed_by_the_example_that_sends_again() {
    let shown = run("retry", &[]);
    assert!(shown.contains("after it was killed: 200 OK"), "{shown}");
    assert!(shown.ends_with("starts: 2\n"), "{shown}");
}

#[test]
fn two_models_take_turns_on_one_port() {
    let shown = run("two_models", &[]);
    let lines: Vec<_> = shown.lines().collect();
    let wanted = [
        ("chat", "(1 starts)"),
        ("embeddings", "(2 starts)"),
        ("embeddings", "(2 starts)"),
        ("chat", "(3 starts)"),
    ];
    assert_eq!(lines.len(), wanted.len(), "{shown}");
    for (line, (model, starts)) in lines.iter().zip(wanted) {
        assert!(line.starts_with(model) && line.ends_with(starts), "{shown}");
        assert!(line.contains(&format!("\"{model}\"")), "{shown}");
    }
}

#[test]
fn the_table_of_layers_has_what_a_stack_does() {
    let shown = run("layer_order", &["nothing else"]);
    let row = shown.lines().find(|line| line.starts_with("nothing else"));
    let row = row.unwrap_or_else(|| panic!("{shown}"));
    assert!(row.contains("3 x 200") && row.ends_with('1'), "{row}");
}

#[test]
fn the_command_answers_and_says_what_it_waits_for() {
    let output = output("cli", &["Who started you?"]);
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.starts_with(ANSWER), "{stdout}");
    assert!(stderr.starts_with("loading the model"), "{stderr}");
}

/// An example that runs until it gets a signal.
struct Running {
    child: Child,
    name: &'static str,
    lines: Receiver<String>,
}

impl Running {
    fn start(name: &'static str) -> Self {
        let mut child = Command::new(example(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example");
        let stdout = child.stdout.take().expect("its output");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines();
            lines
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        Self { child, name, lines }
    }

    /// Reads lines up to one that begins like this.
    #[track_caller]
    fn line(&mut self, beginning: &str) -> String {
        self.all_lines(&[beginning]).remove(0)
    }

    /// Reads lines until one has begun like each of these, in any order.
    #[track_caller]
    fn all_lines(&mut self, beginnings: &[&str]) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        loop {
            let found = |beginning: &&str| seen.iter().find(|line| line.starts_with(*beginning));
            let found: Option<Vec<_>> = beginnings.iter().map(|it| found(it).cloned()).collect();
            if let Some(found) = found {
                return found;
            }
            let Ok(line) = self.lines.recv_timeout(PATIENCE) else {
                panic!("{}: not all of {beginnings:?} in {seen:?}", self.name);
            };
            seen.push(line);
        }
    }

    /// Fails unless it succeeds, and no process of it is left.
    #[track_caller]
    fn assert_ends(mut self) {
        let mut status = None;
        let has_ended = blocking_until(|| {
            status = self.child.try_wait().expect("a child of the test");
            status.is_some()
        });
        assert!(has_ended, "{} does not end", self.name);
        assert!(status.is_some_and(|status| status.success()), "{status:?}");
        assert_gone(self.name);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn the_proxy_of_axum_starts_its_server_and_stops_it_at_the_end() {
    let mut proxy = Running::start("axum_proxy");
    let line = proxy.line("listening on ");
    let port = line.rsplit_once(':').expect("a port").1.parse();
    let port = port.expect("a number");
    let answer = get(port, "/v1/models").await.expect("an answer");
    assert!(answer.body.contains("small"), "{answer:?}");
    let answer = get(port, "/nowhere").await.expect("an answer");
    assert!(answer.body.contains("No such path"), "{answer:?}");
    kill_process(Pid::from_child(&proxy.child), Signal::INT).expect("it runs");
    proxy.assert_ends();
}

#[test]
fn the_window_says_what_its_server_does_and_stops_it_when_it_is_closed() {
    let mut window = Running::start("desktop");
    window.line("[no model is loaded]");
    let mut stdin = window.child.stdin.take().expect("its input");
    writeln!(stdin, "Who started you?").expect("it reads");
    window.line("[loading the model … 0 s]");
    // What shows the answer and what shows the status are two tasks.
    window.all_lines(&["[ready]", ANSWER]);
    drop(stdin);
    window.assert_ends();
}
