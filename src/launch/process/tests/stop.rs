//! Stopping: which processes are asked, killed and waited for.

use super::*;

/// Long enough for a stop that works; a stop that has to wait takes longer.
pub(super) const A_WHILE: Duration = Duration::from_millis(300);

pub(super) async fn stops(mut process: Started) {
    let trace = Trace::of(&process);
    process.stop();
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn a_stop_ends_leader_and_grandchildren() {
    stops(up("sleep 1000 & (sleep 1000 & echo up; wait) & wait").await).await;
}

#[tokio::test]
async fn killing_ends_leader_and_grandchildren() {
    let mut process = up("sleep 1000 & (sleep 1000 & echo up; wait) & wait").await;
    let trace = Trace::of(&process);
    process.kill();
    within_limit(process.gone()).await;
    let exit = within_limit(process.ended()).await;
    assert_eq!((exit.signal, exit.watchdog_died), (Some(9), false));
    trace.assert_gone();
}

#[tokio::test]
async fn a_process_that_ignores_term_is_waited_for_and_then_killed() {
    let mut process = up("trap '' TERM; echo up; while :; do sleep 1; done").await;
    let trace = Trace::of(&process);
    if cfg!(all(target_os = "linux", not(tower_local_service_portable))) {
        assert!(os::ignores_term(&process.pid().to_string()));
    }
    process.stop();
    time::timeout(A_WHILE, process.gone()).await.unwrap_err();
    assert!(process.is_alive());
    process.kill();
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn a_suspended_process_ends_on_term() {
    let process = up("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done").await;
    let name = process.pid().to_string();
    // A shell blocks all signals for the moment in which it starts a program.
    eventually("TERM is not blocked", || !os::ignores_term(&name)).await;
    send(process.pid(), Signal::STOP);
    stops(process).await;
}

#[tokio::test]
async fn a_server_behind_a_wrapper_has_time_to_end() {
    let dir = Dir::new("grace");
    let file = dir.join("saved");
    let script = format!(
        "(trap 'sleep 0.3; echo saved > {}; exit 0' TERM; echo up; while :; do sleep 0.05; done) & wait",
        file.display()
    );
    let mut process = up(&script).await;
    let trace = Trace::of(&process);
    process.stop();
    let exit = within_limit(process.ended()).await;
    assert_eq!(exit.signal, Some(15), "the wrapper ends at once");
    assert!(!file.exists(), "its server does not");
    within_limit(process.gone()).await;
    assert!(file.exists());
    trace.assert_gone();
}

#[tokio::test]
async fn a_grandchild_that_ignores_term_is_killed() {
    let mut process = up("(trap '' TERM; echo up; while :; do sleep 1; done) & wait").await;
    let trace = Trace::of(&process);
    process.stop();
    time::timeout(A_WHILE, process.gone()).await.unwrap_err();
    assert!(trace.has_survivors());
    process.kill();
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn a_second_term_is_received() {
    let script = "trap 'n=$((n+1)); echo got $n; [ $n -lt 2 ] || exit 0' TERM
                  echo up; while :; do sleep 0.05; done";
    let mut process = up(script).await;
    process.stop();
    said(&process, "got 1").await;
    time::timeout(A_WHILE, process.gone()).await.unwrap_err();
    stops(process).await;
}

#[tokio::test]
async fn a_leader_that_ends_by_itself_leaves_nothing() {
    let mut process = start(sh("sleep 0.2 & exit 0")).await;
    let trace = Trace::of(&process);
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn a_stop_begins_with_the_configured_signal_and_continues_with_term() {
    // Not SIGINT, which is ignored in what a shell has started in the background.
    let script = "trap 'echo hung up' HUP; trap 'echo terminated; exit 0' TERM; echo up
                  while :; do sleep 0.05; done";
    let processes = Processes {
        stop_signal: StopSignal::Hup,
        ..processes(sh(script))
    };
    let process = spawn(SHELL, processes, sink()).await;
    let mut process = process.unwrap();
    said(&process, "up\n").await;
    process.stop();
    said(&process, "hung up").await;
    assert!(!text(&process).contains("terminated"));
    process.stop();
    let exit = within_limit(process.ended()).await;
    assert_eq!(exit.code, Some(0));
    assert!(text(&process).ends_with("terminated\n"));
    finish(process).await;
}
