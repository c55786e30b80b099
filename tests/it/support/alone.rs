//! Runs a test in a process of its own, with limits, privileges or a network that other tests must not have.

use std::{
    env, fs,
    process::{Command, Stdio},
};

use rustix::process::{Pid as RawPid, Signal};

use super::{Pid, blocking_until};

/// Runs an ignored test of this program behind `prefix`: a program with arguments that changes the limits
/// of the process. If the test fails, this fails with its output.
#[track_caller]
pub(crate) fn alone(prefix: &[&str], test: &str) {
    let this = env::current_exe().expect("this program");
    let mut command = match prefix {
        [] => Command::new(this),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(this);
            command
        }
    };
    command.args(["--ignored", "--exact", test, "--nocapture"]);
    // On the first thread: libtest would start another, which could fail.
    command.env("RUST_TEST_THREADS", "1");
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{prefix:?}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{test}, {}\n{stdout}\n{stderr}",
        output.status
    );
}

/// Whether this machine has the program and lets it do this; prints a line if not.
#[expect(clippy::print_stderr, reason = "it prints that a test was left out")]
pub(crate) fn can(command: &[&str]) -> bool {
    let mut it = Command::new(command[0]);
    it.args(&command[1..]).stdin(Stdio::null());
    it.stdout(Stdio::null()).stderr(Stdio::null());
    let can = it.status().is_ok_and(|status| status.success());
    if !can {
        eprintln!("left out: this machine cannot do `{}`", command.join(" "));
    }
    can
}

/// The same with system calls that fail in each thread and child of that process. `strace` makes them
/// fail, for instance `kill:error=EPERM`. Returns how many failed; `None` where this is not possible.
#[track_caller]
pub(crate) fn alone_with(fault: &str, test: &str) -> Option<usize> {
    let log = env::temp_dir().join(format!(
        "{}-{}.log",
        test.replace(':', "-"),
        std::process::id()
    ));
    let log = log.to_str().expect("a path in UTF-8");
    let inject = format!("inject={fault}");
    let call = format!("trace={}", fault.split(':').next()?);
    // Its tracer runs beside it, and ends when asked to.
    let strace = [
        "strace", "-D", "-I1", "-f", "-o", log, "-e", &call, "-e", &inject,
    ];
    if !can(&[&strace[..], &["true"]].concat()) {
        return None;
    }
    alone(&strace, test);
    let calls = fs::read_to_string(log).expect("what the tracer wrote");
    drop(fs::remove_file(log));
    Some(calls.matches("(INJECTED)").count())
}

/// Detaches the tracer from this process and its children: from here on no call fails.
pub(crate) fn shake_off_tracer() {
    let tracer = || {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let line = status
            .lines()
            .find_map(|it| it.strip_prefix("TracerPid:"))?;
        line.trim().parse::<Pid>().ok()
    };
    let pid = tracer().and_then(|pid| RawPid::from_raw(pid.try_into().ok()?));
    end(pid.expect("a tracer"));
    assert!(blocking_until(|| tracer() == Some(0)), "it stays");
}

/// Not with `kill`, which may be the call that fails.
#[cfg(target_os = "linux")]
fn end(pid: RawPid) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

    let held = pidfd_open(pid, PidfdFlags::empty()).expect("it runs");
    pidfd_send_signal(held, Signal::TERM).expect("it can be ended");
}

/// There is no `strace`, so no test comes here.
#[cfg(not(target_os = "linux"))]
fn end(pid: RawPid) {
    rustix::process::kill_process(pid, Signal::TERM).expect("it can be ended");
}
