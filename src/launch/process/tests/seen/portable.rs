//! As `ps` shows them, which each Unix has. A Mac has nothing else without unsafe code.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) state: char,
    command: String,
}

impl Process {
    /// Its arguments, with a blank after each.
    pub(crate) fn command(&self) -> &str {
        &self.command
    }
}

pub(crate) fn of(pid: u32) -> Option<Process> {
    look(&["-p", &pid.to_string()]).pop()
}

pub(crate) fn all() -> Vec<Process> {
    look(&["-A"])
}

/// Not with `output()`: a test may ignore SIGCHLD, and then the system tells nothing of the exit of a child.
fn look(which: &[&str]) -> Vec<Process> {
    let mut ps = Command::new("ps");
    // Lines of any length, without titles. To a BSD, the title is all that follows the first `=` of an argument.
    ps.arg("-ww");
    for field in ["pid=", "ppid=", "pgid=", "stat=", "args="] {
        ps.args(["-o", field]);
    }
    ps.args(which).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut ps = ps.spawn().expect("`ps` shows the processes");
    let mut said = Vec::new();
    let mut output = ps.stdout.take().expect("it is piped");
    output.read_to_end(&mut said).expect("what `ps` says");
    drop(ps.wait());
    let said = String::from_utf8_lossy(&said);
    let shown = said.lines().filter_map(parse);
    shown.filter(|it| it.pid != ps.id()).collect()
}

fn parse(line: &str) -> Option<Process> {
    let mut words = line.split_whitespace();
    Some(Process {
        pid: words.next()?.parse().ok()?,
        parent: words.next()?.parse().ok()?,
        group: words.next()?.parse().ok()?,
        state: words.next()?.chars().next()?,
        command: words.flat_map(|word| [word, " "]).collect(),
    })
}
