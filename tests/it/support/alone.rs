//! A test in a process of its own: with limits, rights or a network that the others must not share.

use std::process::{Command, Stdio};

/// Runs an ignored test of this program behind `prefix`, a program and its arguments that change what
/// the process has; fails if it fails, with what it said.
#[track_caller]
pub(crate) fn alone(prefix: &[&str], test: &str) {
    let this = std::env::current_exe().expect("this program");
    let mut command = match prefix {
        [] => Command::new(this),
        [program, args @ ..] => {
            let mut command = Command::new(program);
            command.args(args).arg(this);
            command
        }
    };
    command.args(["--ignored", "--exact", test, "--nocapture"]);
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

/// Whether this machine has a program, and lets it do that; says so where it does not.
#[expect(
    clippy::print_stderr,
    reason = "a test that is left out has to be seen"
)]
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
