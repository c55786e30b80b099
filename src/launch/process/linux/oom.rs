//! `/proc/<pid>/oom_score_adj`.

use std::{
    fs,
    io::ErrorKind::PermissionDenied,
    sync::atomic::{AtomicBool, Ordering},
};

use super::members;
use crate::config::OomScoreAdj;

/// Says how readily the kernel is to end a process, which has inherited the host's score; tells whether
/// that was news. What it starts from here on inherits it.
pub(crate) fn adjust_oom_score(pid: u32, adjust: OomScoreAdj) -> bool {
    let path = format!("/proc/{pid}/oom_score_adj");
    let inherited = fs::read_to_string(&path).ok();
    let wanted = inherited
        .and_then(|text| text.trim().parse().ok())
        .and_then(|inherited| adjust.instead_of(inherited));
    let Some(wanted) = wanted else { return false };
    match fs::write(&path, wanted.to_string()) {
        Ok(()) => true,
        Err(error) => {
            // Any other error means that the process has ended, which is told soon enough.
            if error.kind() == PermissionDenied {
                warn_once(pid, wanted);
            }
            false
        }
    }
}

/// The same for those whom it had started before, as far as they are in its group. May block.
pub(crate) fn adjust_oom_scores(group: u32, adjust: OomScoreAdj) {
    loop {
        let members = members(group).into_iter().flatten();
        let news = members.filter(|pid| adjust_oom_score(*pid, adjust)).count();
        // One that was adjusted now may have started another just before.
        if news == 0 {
            return;
        }
    }
}

fn warn_once(pid: u32, oom_score_adj: i32) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            target: "tower_local_service",
            pid,
            oom_score_adj,
            "this program may not lower `oomScoreAdj` below its own: the local service keeps that; \
             write a higher one, or null for that of this program"
        );
    }
}
