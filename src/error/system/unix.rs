//! Signals and the errors of `execve`.

use rustix::{io::Errno, process::Signal};

/// Signals say it here.
pub(in crate::error) fn code_hint(_: i32) -> Option<&'static str> {
    None
}

/// What most often makes the system or the server itself send this signal, and what helps.
pub(in crate::error) fn signal_hint(signal: i32) -> Option<&'static str> {
    let hints = [
        (
            Signal::ILL,
            "the program was built for another CPU (often with AVX2 or AVX-512): use a build for this \
             one, or build it on this machine",
        ),
        (
            Signal::KILL,
            "find out who killed it; often the system does when memory runs out: use a smaller \
             model or free memory",
        ),
        (
            Signal::SEGV,
            "often a driver or library does not fit the program: update the GPU driver, use a build \
             for it, and run the command by hand to see more",
        ),
        (
            Signal::ABORT,
            "the program gave up, mostly because a driver, a library or memory failed it: read its \
             last output, update the GPU driver, and run the command by hand to see more",
        ),
        (
            Signal::BUS,
            "a file that it has in memory became shorter, or its disk or /dev/shm is full or broken: \
             free space, and get the model file again",
        ),
        (
            Signal::FPE,
            "the program divided by zero, often because of a broken model file: get the file again, \
             or another version of the program",
        ),
        (
            Signal::TERM,
            "another program asked it to end: look for what stops it (a service manager, a script, \
             `timeout`)",
        ),
    ];
    let known = hints.iter().find(|(known, _)| known.as_raw() == signal);
    known.map(|(_, hint)| *hint)
}

pub(in crate::error) fn spawn_hint(errno: Option<i32>) -> &'static str {
    match errno.map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => {
            "check that `command` exists, and if it is a script, the interpreter in its first line"
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            "make `command` executable for this user (chmod +x), and `cwd` accessible"
        }
        Some(Errno::NOEXEC) => {
            "write a `command` that is a program for this machine; a script needs a first line \
             such as #!/bin/sh"
        }
        Some(Errno::TXTBSY) => "try again when no program has `command` open for writing",
        Some(Errno::TOOBIG) => "shorten `args` or `env`",
        Some(Errno::MFILE | Errno::NFILE) => "close files or raise the limit (ulimit -n)",
        Some(Errno::AGAIN) => "end other processes or raise their limit (ulimit -u)",
        Some(Errno::NOMEM) => "free memory",
        _ => "run `command` by hand, with the same `args` and `cwd`, to see why",
    }
}

pub(in crate::error) fn signal_name(signal: i32) -> Option<&'static str> {
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
