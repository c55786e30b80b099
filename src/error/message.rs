//! The texts of errors: the service, what happened, and what to do next.

use std::{fmt, time::Duration};

use super::{CutOff, Error, ErrorKind, Inner, Problem, Subject, excerpt::excerpt, system};

/// After a failed start, whatever made it fail.
pub(super) const START_RETRIES: &str = "`start()` tries again without the wait";

/// One sentence.
pub(super) fn write(f: &mut fmt::Formatter<'_>, error: &Error) -> fmt::Result {
    let inner = &*error.inner;
    write_fact(f, inner)?;
    if let ErrorKind::InvalidConfig { .. } = inner.kind {
        // Each problem says what to do.
        return Ok(());
    }
    if let Some(output) = inner.output() {
        write!(f, "; last output: {}", excerpt(output))?;
    }
    write!(f, "; {}", error.hint())
}

/// A line for what happened, one for the last output if there is any, and one for what to do.
pub(super) fn write_lines(f: &mut fmt::Formatter<'_>, error: &Error) -> fmt::Result {
    write_fact(f, &error.inner)?;
    if let Some(output) = error.inner.output() {
        write!(f, "\nlast output: {}", excerpt(output))?;
    }
    write!(f, "\nhint: {}", error.hint())
}

/// The service, and what happened.
fn write_fact(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    match &inner.subject {
        Subject::Service => write!(f, "local service `{}` ", inner.service)?,
        Subject::Provider => write!(f, "provider `{}` ", inner.service)?,
        Subject::Configuration(None) => f.write_str("the configuration ")?,
        Subject::Configuration(Some(file)) => write!(f, "the configuration file {file} ")?,
    }
    match &inner.kind {
        ErrorKind::InvalidConfig { problems } => write_problems(f, inner, problems),
        _ => write_predicate(f, inner),
    }
}

fn write_problems(f: &mut fmt::Formatter<'_>, inner: &Inner, problems: &[Problem]) -> fmt::Result {
    if let [problem] = problems
        && problem.is_of_text()
    {
        return f.write_str(&problem.message);
    }
    let is_file = matches!(inner.subject, Subject::Configuration(_));
    f.write_str("cannot work as configured")?;
    for (index, problem) in problems.iter().enumerate() {
        f.write_str(if index == 0 { ": " } else { "; " })?;
        // The path of a field in a text has the provider in it.
        if problem.service != inner.service && !problem.field.starts_with("models.providers.") {
            let what = if is_file { "provider " } else { "" };
            write!(f, "{what}`{}` ", problem.service)?;
        }
        write!(f, "`{}` {}", problem.field, problem.message)?;
    }
    Ok(())
}

/// What happened, after the name of the service.
fn write_predicate(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    let after = inner.after.map(Rounded);
    match &inner.kind {
        ErrorKind::InvalidConfig { .. } => f.write_str("cannot work as configured"),
        ErrorKind::Spawn { reason } | ErrorKind::Unsupported { reason } => {
            write!(f, "could not be started: {reason}")
        }
        ErrorKind::Exited { code, signal } => {
            write_exit(f, *code, *signal)?;
            match inner.cut_off {
                Some(CutOff::Answer) => f.write_str(" while a request waited for its answer")?,
                Some(CutOff::Body) => f.write_str(" before its answer had ended")?,
                None => {}
            }
            after.map_or(Ok(()), |after| write!(f, ", {after} after its start"))
        }
        ErrorKind::ReadyTimeout { last_probe } => {
            f.write_str("did not become ready")?;
            after.map_or(Ok(()), |after| write!(f, " within {after}"))?;
            match (&inner.ready_request, &inner.health_url) {
                (Some(request), _) => write!(f, ", its ready request {request}")?,
                (None, Some(url)) => write!(f, ", its last probe of {url}")?,
                (None, None) => f.write_str(", its last probe")?,
            }
            write!(f, " saw: {last_probe}")
        }
        ErrorKind::HealthRejected { status } => {
            if let Some(request) = &inner.ready_request {
                write!(f, "answers its ready request {request}")?;
            } else {
                f.write_str("answers its health URL")?;
                write_health_url(f, inner)?;
            }
            write!(f, " with status {status}")
        }
        ErrorKind::AddressInUse { by } => {
            write!(f, "finds its address taken by {by}")?;
            write_health_url(f, inner)
        }
        ErrorKind::NoRoom { .. } => write_no_room(f, &inner.kind),
        ErrorKind::CrashLoop { failures } => write_crash_loop(f, *failures, inner),
        ErrorKind::Overloaded { waiters } => {
            write!(f, "has {waiters} requests waiting for it already")
        }
        ErrorKind::Stopped {} => f.write_str("was stopped while it was in use"),
        ErrorKind::Unkillable { pid } => match pid {
            Some(pid) => write!(f, "has a process (pid {pid}) that survived SIGKILL"),
            None => f.write_str("could not be ended, also not by force"),
        },
        ErrorKind::StillAnswers {} => {
            f.write_str("still answers, although its stop command has ended")
        }
        ErrorKind::External { pid } => {
            f.write_str("uses a server that this program did not start")?;
            pid.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
        }
        ErrorKind::Internal {} => {
            f.write_str("failed by a bug: the task that supervises it panicked")
        }
        ErrorKind::ShutDown {} => f.write_str("is retired, or its registry is shut down"),
    }
}

fn write_no_room(f: &mut fmt::Formatter<'_>, kind: &ErrorKind) -> fmt::Result {
    let ErrorKind::NoRoom {
        resource,
        needs,
        capacity,
        holders,
    } = kind
    else {
        return Ok(());
    };
    write!(
        f,
        "needs {needs} of `{resource}`, of which there is {capacity}"
    )?;
    for (index, holder) in holders.iter().enumerate() {
        f.write_str(if index == 0 { " and " } else { ", " })?;
        write!(f, "`{holder}`")?;
    }
    f.write_str(match holders.len() {
        0 => "; another program is deciding who has it, and may be suspended",
        1 => " has a part",
        _ => " have parts",
    })
}

fn write_health_url(f: &mut fmt::Formatter<'_>, inner: &Inner) -> fmt::Result {
    match &inner.health_url {
        Some(url) => write!(f, " ({url})"),
        None => Ok(()),
    }
}

fn write_exit(f: &mut fmt::Formatter<'_>, code: Option<i32>, signal: Option<i32>) -> fmt::Result {
    match (code, signal) {
        // Those of Windows are known in this form.
        (Some(code @ ..0), _) => write!(f, "exited with code {code:#010X}"),
        (Some(code), _) => write!(f, "exited with code {code}"),
        (None, Some(signal)) => match system::signal_name(signal) {
            Some(name) => write!(f, "was ended by signal {signal} ({name})"),
            None => write!(f, "was ended by signal {signal}"),
        },
        (None, None) => f.write_str("ended, and it is not known with which code"),
    }
}

fn write_crash_loop(f: &mut fmt::Formatter<'_>, failures: u32, inner: &Inner) -> fmt::Result {
    let times = if failures == 1 { "time" } else { "times" };
    write!(f, "failed {failures} {times} in a row")?;
    if let Some(cause) = &inner.cause {
        f.write_str(" (the last time it ")?;
        write_predicate(f, &cause.inner)?;
        f.write_str(")")?;
    }
    f.write_str(" and is not started again")?;
    match inner.retry_after {
        Some(wait) => write!(f, " for {}", Rounded(wait)),
        None => f.write_str(" yet"),
    }
}

/// What to do next, as far as the kind tells.
pub(super) fn hint(kind: &ErrorKind, errno: Option<i32>) -> &'static str {
    match kind {
        ErrorKind::InvalidConfig { .. } => "correct the configuration",
        ErrorKind::Spawn { .. } => system::spawn_hint(errno),
        ErrorKind::Unsupported { .. } => {
            "start the server yourself: it is used as soon as it answers"
        }
        ErrorKind::Exited { code, signal } => exit_hint(*code, *signal),
        ErrorKind::ReadyTimeout { .. } => {
            "check that `args` and `healthUrl` name the same port and that the server has that \
             path, or raise `readyTimeoutMs`"
        }
        ErrorKind::HealthRejected { .. } => {
            "set `healthHeaders` (such as Authorization), or a `healthUrl` that needs no \
             credentials (such as /health)"
        }
        ErrorKind::AddressInUse { .. } => {
            "end the program that has the address, wait until it is free (`swapTimeoutMs` is how \
             long a request waits), give the service a port of its own, or, if that is the right \
             server, set `healthUrl` or `healthStatus`"
        }
        ErrorKind::NoRoom { .. } => {
            "wait until the others are not in use (`swapTimeoutMs` is how long a request does), end your own \
             use of them first, or lower `needs`"
        }
        ErrorKind::CrashLoop { .. } => {
            "repair what makes it fail; `start()` tries again without the wait"
        }
        ErrorKind::Overloaded { .. } => "try again later, or raise `maxWaiters`",
        ErrorKind::Stopped {} => "send the request again, which starts the service again",
        ErrorKind::Unkillable { .. } => {
            "find out what it waits for (often a device or a network file system) and end it by \
             hand: until then nothing is started in its place"
        }
        ErrorKind::StillAnswers {} => {
            "correct `stopCommand`: run it by hand to see what it does; and end the server by hand, which is used as \
             an external one until then"
        }
        ErrorKind::External { .. } => "stop it in the program that started it, or by hand",
        ErrorKind::Internal {} => {
            "send the request again, which starts it again, and report the panic that was written to stderr"
        }
        ErrorKind::ShutDown {} => "create the service again, in a registry that is in use",
    }
}

fn exit_hint(code: Option<i32>, signal: Option<i32>) -> &'static str {
    // A shell that waited for the server exits with 128 and the number of the signal.
    let of_shell = code.and_then(|code| code.checked_sub(128));
    if let Some(hint) = signal.or(of_shell).and_then(system::signal_hint) {
        return hint;
    }
    if let Some(hint) = code.and_then(system::code_hint) {
        return hint;
    }
    match code {
        Some(0) => {
            "if the command puts the server into the background, tell it not to, or set `launcher` and `stopCommand`"
        }
        Some(126 | 127) => {
            "write absolute paths into the script that starts the server: it did not find or could \
             not run a program"
        }
        None if signal.is_none() => "look at what it wrote last, or run it by hand, to see why",
        _ => "run the command by hand, with the same `args`, `cwd` and `env`, to see why",
    }
}

/// A duration as people read it: `12 ms`, `3 s`, `120 s`.
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
