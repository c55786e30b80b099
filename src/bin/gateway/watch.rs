//! `--watch`: that files have changed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{self, Interval, MissedTickBehavior};

/// An editor may write a file in several steps: one that has changed is read when it was the same for that long.
const LOOK: Duration = Duration::from_secs(1);

/// What is compared of a file; `None` if it is not there.
type Seen = Option<(u64, i64, i64, u64)>;

/// Files, and what they were like when they were read.
pub(crate) struct Watch {
    files: Vec<PathBuf>,
    read: Vec<Seen>,
    seen: Vec<Seen>,
    looks: Interval,
}

impl Watch {
    /// To be called before they are read, so that no change is missed.
    pub(crate) fn of(files: Vec<PathBuf>) -> Self {
        let read: Vec<_> = files.iter().map(|it| look(it)).collect();
        let mut looks = time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            seen: read.clone(),
            files,
            read,
            looks,
        }
    }

    /// Resolves when one of them has changed, and is to be read again. Without files it never does.
    ///
    /// # Cancel safety
    ///
    /// No change is missed.
    pub(crate) async fn changed(&mut self) {
        if self.files.is_empty() {
            std::future::pending::<()>().await;
        }
        loop {
            self.looks.tick().await;
            let now: Vec<_> = self.files.iter().map(|it| look(it)).collect();
            let rests = now == self.seen;
            self.seen.clone_from(&now);
            // One that is not there is about to be put there.
            if rests && now != self.read && now.iter().all(Option::is_some) {
                self.read = now;
                return;
            }
        }
    }
}

#[cfg(unix)]
fn look(file: &Path) -> Seen {
    use std::os::unix::fs::MetadataExt as _;
    let file = fs::metadata(file).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}

/// There, a file has no number that another one in its place has not.
#[cfg(not(unix))]
fn look(file: &Path) -> Seen {
    let file = fs::metadata(file).ok()?;
    let changed = file.modified().ok()?.duration_since(std::time::UNIX_EPOCH);
    let changed = changed.unwrap_or_default();
    let seconds = i64::try_from(changed.as_secs()).unwrap_or_default();
    Some((0, seconds, changed.subsec_nanos().into(), file.len()))
}
