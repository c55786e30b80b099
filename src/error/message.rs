//! The words: one sentence with the service, the fact and the remedy.

use std::{fmt, time::Duration};

use rustix::{io::Errno, process::Signal};

use super::{ErrorKind, Inner, Problem};

/// How much of the output a message shows.
const LINES: usize = 3;
const CHARS: usize = 300;

pub(super) fn write(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    write!(f, "local service `{}` ", inner.service)?;
    if let ErrorKind::InvalidConfig { problems } = &inner.kind {
        return write_problems(f, &inner.service, problems);
    }
    write_fact(f, inner)?;
    if let Some(output) = inner.output() {
        write!(f, "; last output: {}", last_lines(output))?;
    }
    write!(f, "; {}", remedy(inner))?;
    if let ErrorKind::CrashLoop { .. } = inner.kind {
        f.write_str("; `start()` tries again without the wait")?;
    }
    Ok(())
}

fn write_problems(f: &mut fmt::Formatter<'_>, service: &str, problems: &[Problem]) -> fmt::Result {
    f.write_str("cannot work as configured")?;
    for (index, problem) in problems.iter().enumerate() {
        f.write_str(if index == 0 { ": " } else { "; " })?;
        if problem.service != service {
            write!(f, "`{}` ", problem.service)?;
        }
        write!(f, "`{}` {}", problem.field, problem.remedy)?;
    }
    Ok(())
}

/// What happened, after the name of the service.
fn write_fact(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    let after = inner.after.map(Rounded);
    match &inner.kind {
        ErrorKind::InvalidConfig { .. } => f.write_str("cannot work as configured"),
        ErrorKind::Spawn { reason } => write!(f, "could not be started: {reason}"),
        ErrorKind::Exited { code, signal } => {
            write_exit(f, *code, *signal)?;
            if inner.is_cut_off {
                f.write_str(" while a request waited for its answer")?;
            }
            after.map_or(Ok(()), |after| write!(f, ", {after} after its start"))
        }
        ErrorKind::ReadyTimeout { last_probe } => {
            f.write_str("did not become ready")?;
            after.map_or(Ok(()), |after| write!(f, " within {after}"))?;
            f.write_str(", its last probe")?;
            if let Some(url) = &inner.health_url {
                write!(f, " of {url}")?;
            }
            write!(f, " saw: {last_probe}")
        }
        ErrorKind::HealthRejected { status } => {
            f.write_str("answers its health URL")?;
            write_health_url(f, inner)?;
            write!(f, " with status {status}")
        }
        ErrorKind::AddressInUse { by } => {
            write!(f, "finds its address taken by {by}")?;
            write_health_url(f, inner)
        }
        ErrorKind::CrashLoop { failures } => write_crash_loop(f, *failures, inner),
        ErrorKind::Overloaded { waiters } => {
            write!(f, "has {waiters} requests waiting for it already")
        }
        ErrorKind::Stopped {} => f.write_str("was told to stop while it was in use"),
        ErrorKind::Unkillable { pid: Some(pid) } => {
            write!(f, "has a process (pid {pid}) that survived SIGKILL")
        }
        ErrorKind::Unkillable { pid: None } => f.write_str("has a process that survived SIGKILL"),
        ErrorKind::ShutDown {} => f.write_str("is retired, or its registry is shut down"),
    }
}

fn write_health_url(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    match &inner.health_url {
        Some(url) => write!(f, " ({url})"),
        None => Ok(()),
    }
}

fn write_exit(f: &mut fmt::Formatter<'_>, code: Option<i32>, signal: Option<i32>) -> fmt::Result {
    match (code, signal) {
        (Some(code), _) => write!(f, "exited with code {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => write!(f, "was ended by signal {signal} ({name})"),
            None => write!(f, "was ended by signal {signal}"),
        },
        (None, None) => f.write_str("ended with a status that could not be read"),
    }
}

fn write_crash_loop(f: &mut fmt::Formatter<'_>, failures: u32, inner: &Inner) -> fmt::Result {
    let times = if failures == 1 { "time" } else { "times" };
    write!(f, "failed {failures} {times} in a row")?;
    if let Some(cause) = &inner.cause {
        f.write_str(" (the last time it ")?;
        write_fact(f, &cause.inner)?;
        f.write_str(")")?;
    }
    f.write_str(" and is not started again")?;
    match inner.retry_after {
        Some(wait) => write!(f, " for {}", Rounded(wait)),
        None => f.write_str(" yet"),
    }
}

/// What to do next.
fn remedy(inner: &Inner) -> &'static str {
    match (inner.remedy, &inner.cause) {
        (Some(remedy), _) => remedy,
        // What makes it fail again and again is to be repaired.
        (None, Some(cause)) => remedy(&cause.inner),
        (None, None) => remedy_of_kind(&inner.kind),
    }
}

fn remedy_of_kind(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidConfig { .. } => "correct the configuration",
        ErrorKind::Spawn { reason } => spawn_remedy(reason),
        ErrorKind::Exited { code, signal } => exit_remedy(*code, *signal),
        ErrorKind::ReadyTimeout { .. } => {
            "check that `args` and `healthUrl` name the same port and that the server has that \
             path, or raise `readyTimeoutMs`"
        }
        ErrorKind::HealthRejected { .. } => {
            "set `healthHeaders` (such as Authorization), or a `healthUrl` that needs no \
             credentials (such as /health)"
        }
        ErrorKind::AddressInUse { .. } => {
            "end what has the address, wait for it (`swapTimeoutMs` is how long), give the service \
             a port of its own, or set `healthUrl` or `healthStatus` if that is the wanted server"
        }
        ErrorKind::CrashLoop { .. } => "repair what makes it fail",
        ErrorKind::Overloaded { .. } => "try again later, or raise `maxWaiters`",
        ErrorKind::Stopped {} => "send the request again, which starts the service anew",
        ErrorKind::Unkillable { .. } => {
            "nothing is started over it: look at what it hangs on (often a device or a network \
             file system) and end it by hand"
        }
        ErrorKind::ShutDown {} => "create the service again, in a registry that is in use",
    }
}

fn exit_remedy(code: Option<i32>, signal: Option<i32>) -> &'static str {
    if signal == Some(Signal::KILL.as_raw()) {
        return "something outside killed it, often the system when memory runs out: use a smaller \
                model or free memory";
    }
    match code {
        Some(0) => "if the command puts the server into the background, tell it not to",
        Some(126 | 127) => {
            "a script in front of the server did not find or could not run a program: write \
             absolute paths in it"
        }
        _ => "run the command by hand, with the same `args`, `cwd` and `env`, to see why",
    }
}

fn spawn_remedy(reason: &str) -> &'static str {
    match errno(reason) {
        Some(Errno::NOENT) => {
            "check that `command` exists, and if it is a script, the interpreter in its first line"
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            "make `command` executable for this user (chmod +x), and `cwd` accessible"
        }
        Some(Errno::NOEXEC) => {
            "`command` is no program for this machine; a script needs a first line such as #!/bin/sh"
        }
        Some(Errno::TXTBSY) => "`command` is open for writing: try again when that is over",
        Some(Errno::TOOBIG) => "shorten `args` or `env`",
        Some(Errno::MFILE | Errno::NFILE) => "close files or raise the limit (ulimit -n)",
        Some(Errno::AGAIN) => "end other processes or raise their limit (ulimit -u)",
        Some(Errno::NOMEM) => "free memory",
        _ => "check `command`, `args` and `cwd` by running it by hand",
    }
}

/// The code behind the operating system's words, which end in `(os error 2)`.
// The words and not the `io::Error` are what the state machine's events and journal can carry.
fn errno(reason: &str) -> Option<Errno> {
    let (_, code) = reason.rsplit_once("(os error ")?;
    let code = code.split_once(')')?.0.parse().ok()?;
    (1..4096)
        .contains(&code)
        .then(|| Errno::from_raw_os_error(code))
}

fn signal_name(signal: i32) -> Option<&'static str> {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
    ];
    let known = names.iter().find(|(known, _)| known.as_raw() == signal);
    known.map(|(_, name)| *name)
}

/// The end of an output, as one short line.
pub(super) fn last_lines(output: &str) -> String {
    let mut lines: Vec<_> = output
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .rev()
        .take(LINES)
        .collect();
    lines.reverse();
    let text = lines.join(" | ");
    match text.char_indices().rev().nth(CHARS - 1) {
        Some((start, _)) if start > 0 => format!("…{}", &text[start..]),
        _ => text,
    }
}

/// A duration for people: `12 ms`, `3 s`, `120 s`.
struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < Duration::from_secs(10) && self.0.subsec_millis() != 0 {
            write!(f, "{} ms", self.0.as_millis())
        } else {
            write!(f, "{} s", self.0.as_secs())
        }
    }
}
