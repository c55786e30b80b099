//! The terminal in which this program was started, and which may be closed.
//!
//! SIGHUP has two meanings: read the file again, and: the terminal is closed. The second can be known by
//! whether the terminal still exists.

use std::{fs, time::Duration};

use tokio::time;

/// The system sends the signal shortly before it takes the terminal away.
const TAKES: Duration = Duration::from_millis(200);

/// Whether the end of the terminal is to end this program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    matters: bool,
}

impl Terminal {
    /// To be called before signals are listened to: `nohup` has SIGHUP ignored, and is to be heeded.
    pub(crate) fn of_this_program() -> Self {
        Self {
            matters: exists() && !ignores_hang_ups(),
        }
    }

    /// Whether there was a terminal, and it is closed.
    pub(crate) async fn is_closed(self) -> bool {
        if !self.matters {
            return false;
        }
        if exists() {
            time::sleep(TAKES).await;
        }
        !exists()
    }
}

/// Whether this process has a controlling terminal.
fn exists() -> bool {
    fs::File::open("/dev/tty").is_ok()
}

/// Linux tells. Where the system does not, they are not ignored.
fn ignores_hang_ups() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|it| it.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|it| u64::from_str_radix(it.trim(), 16).ok());
    ignored.is_some_and(|signals| signals & 1 == 1)
}
