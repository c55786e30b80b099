//! What is seen from outside: processes and the port.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};

/// Whether the process runs. On Linux one that has ended and was not yet waited for does not.
pub(crate) fn runs(pid: u32) -> bool {
    if cfg!(target_os = "linux") {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, it)| it.chars().next());
        return state.is_some_and(|state| !matches!(state, 'Z' | 'X'));
    }
    raw(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

pub(crate) fn kill(pid: u32) {
    if let Some(pid) = raw(pid) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn raw(pid: u32) -> Option<Pid> {
    Pid::from_raw(pid.try_into().ok()?)
}

/// Waits until that is so. Returns how long it took, or `None` if it is not so after ten seconds.
pub(crate) async fn until(is_so: impl Fn() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    while !is_so() {
        if begun.elapsed() > Duration::from_secs(10) {
            return None;
        }
        sleep(Duration::from_millis(2)).await;
    }
    Some(begun.elapsed())
}
