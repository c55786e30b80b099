//! `/proc/<pid>/oom_score_adj`: which process the kernel ends first when memory is short.

use std::{fs, io::ErrorKind::PermissionDenied};

use super::members;
use crate::{launch::OomScoreAdj, log::warn_once};

/// Sets the score of a process, which has inherited that of your program; returns whether this changed
/// it. Processes that it starts from here on inherit the score.
pub(crate) fn adjust_oom_score(pid: u32, adjust: OomScoreAdj) -> bool {
    let path = format!("/proc/{pid}/oom_score_adj");
    let inherited = fs::read_to_string(&path).ok();
    let score = inherited
        .and_then(|text| text.trim().parse().ok())
        .and_then(|inherited| adjust.instead_of(inherited));
    let Some(score) = score else { return false };
    match fs::write(&path, score.to_string()) {
        Ok(()) => true,
        Err(error) => {
            // Any other error means that the process has ended, which is reported elsewhere.
            if error.kind() == PermissionDenied {
                warn_once!(
                    pid,
                    oom_score_adj = score,
                    "this program may not lower `oomScoreAdj` below its own: the local service keeps \
                     that; write a higher one, or null for that of this program"
                );
            }
            false
        }
    }
}

/// The same for the members of a group: what the service had started before its own score was set.
/// Blocks for milliseconds.
pub(crate) fn adjust_oom_scores(group: u32, adjust: OomScoreAdj) {
    loop {
        let members = members(group).into_iter().flatten();
        let changed = members.filter(|pid| adjust_oom_score(*pid, adjust)).count();
        // A process whose score was set just now may have started another just before.
        if changed == 0 {
            return;
        }
    }
}
