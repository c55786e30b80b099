//! Stopping what has left the group of its service.

use super::{
    stop::{A_WHILE, stops},
    *,
};

fn has_setsid() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join("setsid").exists())
}

/// Waits for the process that leaves the group: it has the cookie, and a group of its own.
async fn detached_from(process: &Process) -> crate::launch::process::family::Descendant {
    let group = process.group.id();
    let find = || {
        let all = process.sweep.family().living(false);
        all.into_iter().find(|descendant| descendant.group != group)
    };
    eventually("a process leaves the group", || find().is_some()).await;
    find().unwrap()
}

#[tokio::test]
async fn a_detached_descendant_is_stopped() {
    if has_setsid() {
        let process = up("setsid sleep 1000 & echo up; wait").await;
        detached_from(&process).await;
        stops(process).await;
    }
}

#[tokio::test]
async fn a_detached_descendant_that_ignores_term_is_killed() {
    if has_setsid() {
        let process =
            up("setsid sh -c \"trap '' TERM; echo up; while :; do sleep 1; done\" & wait");
        let mut process = process.await;
        let trace = Trace::of(&process);
        detached_from(&process).await;
        process.stop();
        time::timeout(A_WHILE, process.gone()).await.unwrap_err();
        assert!(trace.has_survivors());
        process.kill();
        within_limit(process.gone()).await;
        trace.assert_gone();
    }
}

#[tokio::test]
async fn a_detached_descendant_ends_when_the_process_is_dropped() {
    if has_setsid() {
        let process = up("setsid sleep 1000 & echo up; wait").await;
        let trace = Trace::of(&process);
        detached_from(&process).await;
        drop(process);
        trace.vanishes().await;
    }
}

#[tokio::test]
async fn a_detached_descendant_is_left_alone_if_so_configured() {
    if has_setsid() {
        let launch = sh("setsid sleep 1000 & wait");
        let mut process = spawn(SHELL, only_the_group(launch), sink()).await.unwrap();
        let trace = Trace::of(&process);
        let detached = detached_from(&process).await;
        process.kill();
        within_limit(process.gone()).await;
        assert!(os::lives(detached));
        os::signal(detached, &[Signal::KILL]);
        trace.vanishes().await;
    }
}

#[tokio::test]
async fn one_stop_signals_a_detached_descendant_once() {
    if has_setsid() {
        let process = up("setsid sh -c \"trap 'echo told' TERM; echo up; \
             while :; do sleep 0.05; done\" & wait");
        let mut process = process.await;
        detached_from(&process).await;
        process.stop();
        said(&process, "told").await;
        // `gone` sweeps again and again.
        time::timeout(A_WHILE, process.gone()).await.unwrap_err();
        let text = text(&process);
        assert_eq!(text.matches("told").count(), 1);
        finish(process).await;
    }
}
