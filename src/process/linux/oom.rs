//! `/proc/<pid>/oom_score_adj`.

use std::{
    fs,
    io::ErrorKind::PermissionDenied,
    sync::atomic::{AtomicBool, Ordering},
};

use crate::config::OomScoreAdj;

/// Says how readily the kernel is to end a child of ours, which has inherited the host's score.
pub(crate) fn adjust_oom_score(pid: u32, adjust: OomScoreAdj) {
    let path = format!("/proc/{pid}/oom_score_adj");
    let inherited = fs::read_to_string(&path).ok();
    let wanted = inherited
        .and_then(|text| text.trim().parse().ok())
        .and_then(|inherited| adjust.instead_of(inherited));
    let Some(wanted) = wanted else { return };
    // Any other error means that the process has ended, which is told soon enough.
    if fs::write(&path, wanted.to_string()).is_err_and(|it| it.kind() == PermissionDenied) {
        warn_once(pid, wanted);
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
