//! Stopping: who is asked, who is forced, who is waited for.

use super::*;

/// Long enough for a stop that works, and sure to pass in one that has to wait.
const A_WHILE: Duration = Duration::from_millis(300);

async fn stops(mut process: Process) {
    let trace = Trace::of(&process);
    process.terminate();
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
    assert_eq!((exit.signal, exit.by_guardian), (Some(9), false));
    trace.assert_gone();
}

#[tokio::test]
async fn who_ignores_the_request_is_waited_for_and_then_killed() {
    let mut process = up("trap '' TERM; echo up; while :; do sleep 1; done").await;
    let trace = Trace::of(&process);
    let name = process.pid().to_string();
    assert!(os::deaf_to_term(&name));
    process.terminate();
    time::timeout(A_WHILE, process.gone()).await.unwrap_err();
    assert!(process.is_alive());
    process.kill();
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn a_stopped_process_is_asked_too() {
    let process = up("trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done").await;
    let name = process.pid().to_string();
    // A shell blocks all signals for the moment in which it starts a program.
    eventually("TERM is heeded", || !os::deaf_to_term(&name)).await;
    send(process.pid(), Signal::STOP);
    stops(process).await;
}

#[tokio::test]
async fn a_server_behind_a_wrapper_has_its_grace() {
    let dir = Dir::new("grace");
    let file = dir.join("saved");
    let script = format!(
        "(trap 'sleep 0.3; echo saved > {}; exit 0' TERM; echo up; while :; do sleep 0.05; done) & wait",
        file.display()
    );
    let mut process = up(&script).await;
    let trace = Trace::of(&process);
    process.terminate();
    let exit = within_limit(process.ended()).await;
    assert_eq!(exit.signal, Some(15), "the wrapper ends at once");
    assert!(!file.exists(), "its server does not");
    within_limit(process.gone()).await;
    assert!(file.exists());
    trace.assert_gone();
}

#[tokio::test]
async fn a_grandchild_that_stays_is_killed() {
    let mut process = up("(trap '' TERM; echo up; while :; do sleep 1; done) & wait").await;
    let trace = Trace::of(&process);
    process.terminate();
    time::timeout(A_WHILE, process.gone()).await.unwrap_err();
    assert!(trace.has_survivors());
    process.kill();
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn a_second_request_is_heard() {
    let script = "trap 'n=$((n+1)); echo got $n; [ $n -lt 2 ] || exit 0' TERM
                  echo up; while :; do sleep 0.05; done";
    let mut process = up(script).await;
    process.terminate();
    said(&process, "got 1").await;
    time::timeout(A_WHILE, process.gone()).await.unwrap_err();
    stops(process).await;
}

#[tokio::test]
async fn a_leader_that_ends_by_itself_leaves_a_clean_house() {
    let mut process = start(sh("sleep 0.2 & exit 0")).await;
    let trace = Trace::of(&process);
    within_limit(process.gone()).await;
    trace.assert_gone();
}

fn has_setsid() -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|dir| dir.join("setsid").exists())
}

/// Waits for the process that leaves the group: it has the cookie, and a group of its own.
async fn stray_of(process: &Process) -> strays::Carrier {
    let group = process.group.id();
    let find = || {
        let all = os::carriers(process.strays.cookie());
        all.into_iter().find(|carrier| carrier.group != group)
    };
    eventually("a process leaves the group", || find().is_some()).await;
    find().unwrap()
}

#[tokio::test]
async fn who_left_the_group_is_stopped_too() {
    if has_setsid() {
        let process = up("setsid sleep 1000 & echo up; wait").await;
        stray_of(&process).await;
        stops(process).await;
    }
}

#[tokio::test]
async fn who_left_the_group_is_killed_when_it_must_be() {
    if has_setsid() {
        let process =
            up("setsid sh -c \"trap '' TERM; echo up; while :; do sleep 1; done\" & wait");
        let mut process = process.await;
        let trace = Trace::of(&process);
        stray_of(&process).await;
        process.terminate();
        time::timeout(A_WHILE, process.gone()).await.unwrap_err();
        assert!(trace.has_survivors());
        process.kill();
        within_limit(process.gone()).await;
        trace.assert_gone();
    }
}

#[tokio::test]
async fn who_left_the_group_ends_with_a_dropped_process() {
    if has_setsid() {
        let process = up("setsid sleep 1000 & echo up; wait").await;
        let trace = Trace::of(&process);
        stray_of(&process).await;
        drop(process);
        trace.vanishes().await;
    }
}

#[tokio::test]
async fn who_left_the_group_may_stay_if_so_configured() {
    if has_setsid() {
        let launch = Arc::new(sh("setsid sleep 1000 & wait"));
        let mut process = spawn(launch, settings(), ONLY_THE_GROUP).await.unwrap();
        let trace = Trace::of(&process);
        let stray = stray_of(&process).await;
        process.kill();
        within_limit(process.gone()).await;
        assert!(os::lives(stray));
        os::signal(stray, trace.strays.cookie(), &[Signal::KILL]);
        trace.vanishes().await;
    }
}

#[tokio::test]
async fn one_request_reaches_a_stray_once() {
    if has_setsid() {
        let process = up("setsid sh -c \"trap 'echo told' TERM; echo up; \
             while :; do sleep 0.05; done\" & wait");
        let mut process = process.await;
        stray_of(&process).await;
        process.terminate();
        said(&process, "told").await;
        // `gone` looks for strays again and again.
        time::timeout(A_WHILE, process.gone()).await.unwrap_err();
        let text = process.output().text(&Secrets::default());
        assert_eq!(text.matches("told").count(), 1);
        finish(process).await;
    }
}
