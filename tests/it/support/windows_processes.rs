//! A look at the fixtures of this machine. Nothing else of the system tells without unsafe code, so each has a file locked
//! as long as it lives, beside one with its arguments.

use std::{
    fs::{self, File, TryLockError},
    path::PathBuf,
    process::{Command, Stdio},
};

pub(crate) type Pid = u32;

fn folder() -> PathBuf {
    std::env::temp_dir().join("local-service-fixtures")
}

/// Whether this fixture runs.
pub(crate) fn is_alive(pid: Pid) -> bool {
    let lock = File::open(folder().join(format!("{pid}.lock")));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// All fixtures that run with this text in their arguments.
pub(crate) fn processes_with(text: &str) -> Vec<Pid> {
    let files = fs::read_dir(folder()).into_iter().flatten().flatten();
    let fixtures = files.filter_map(|file| {
        let path = file.path();
        let is_one = path.extension()? == "arguments";
        let pid = path.file_stem()?.to_str()?.parse().ok()?;
        is_one.then_some((pid, path))
    });
    let mut found = Vec::new();
    for (pid, path) in fixtures {
        if !is_alive(pid) {
            drop(fs::remove_file(path));
        } else if fs::read_to_string(path).is_ok_and(|it| it.contains(text)) {
            found.push(pid);
        }
    }
    found
}

/// Ends a process that the test started, itself or through the crate, at once.
pub(crate) fn kill(pid: Pid) {
    let mut kill = Command::new("taskkill");
    kill.args(["/F", "/PID", &pid.to_string()]);
    kill.stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    kill.status().expect("Windows has this program");
}
