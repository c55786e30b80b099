//! How an instance begins, and how it ends without being stopped.

use std::{io, panic, thread};

use rustix::process::{WaitOptions, waitpid};
use tokio::runtime::{Builder, Runtime};

use super::*;

const TREE: &str = "sleep 1000 & echo up; sleep 1000 & wait";

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn an_exit_code_is_reported_to_each_call() {
    let mut process = start(sh("exit 7")).await;
    let trace = Trace::of(&process);
    let exit = Exit {
        code: Some(7),
        ..Exit::default()
    };
    assert_eq!(within_limit(process.ended()).await, exit);
    assert_eq!(within_limit(process.ended()).await, exit);
    assert!(!process.is_alive());
    within_limit(process.gone()).await;
    within_limit(process.gone()).await;
    assert_eq!(within_limit(process.ended()).await, exit);
    trace.assert_gone();
}

#[tokio::test]
async fn a_signal_is_reported() {
    let mut process = start(sh("kill -9 $$")).await;
    let exit = within_limit(process.ended()).await;
    assert_eq!((exit.code, exit.signal), (None, Some(9)));
    finish(process).await;
}

#[tokio::test]
async fn an_exit_is_known_while_a_grandchild_holds_the_pipes() {
    let mut process = start(sh("sleep 1000 & exit 3")).await;
    let trace = Trace::of(&process);
    assert_eq!(within_limit(process.ended()).await.code, Some(3));
    process.kill();
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn a_process_runs_until_it_ends() {
    let mut process = up("echo up; sleep 1000").await;
    assert!(process.is_alive());
    time::timeout(Duration::from_millis(50), process.ended())
        .await
        .unwrap_err();
    send(process.pid(), Signal::KILL);
    assert_eq!(within_limit(process.ended()).await.signal, Some(9));
    assert!(!process.is_alive());
    finish(process).await;
}

#[tokio::test]
async fn the_group_ends_with_its_watchdog() {
    let mut process = up(TREE).await;
    let trace = Trace::of(&process);
    send(trace.group, Signal::KILL);
    assert!(within_limit(process.ended()).await.watchdog_died);
    assert!(!process.is_alive());
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn a_watchdog_that_was_reaped_by_others_is_not_signalled() {
    let mut process = up(TREE).await;
    let trace = Trace::of(&process);
    send(trace.group, Signal::KILL);
    waitpid(pid::from_number(trace.group), WaitOptions::empty()).unwrap();
    assert!(!process.group.signal(&[Signal::KILL]));
    assert!(within_limit(process.ended()).await.watchdog_died);
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn a_leader_that_was_reaped_by_others_has_an_unknown_exit() {
    let mut process = start(sh("exit 7")).await;
    waitpid(pid::from_number(process.pid()), WaitOptions::empty()).unwrap();
    assert!(!process.is_alive());
    assert_eq!(within_limit(process.ended()).await, Exit::default());
    within_limit(process.gone()).await;
}

#[tokio::test]
async fn dropping_it_ends_all() {
    let process = up(TREE).await;
    let trace = Trace::of(&process);
    drop(process);
    trace.vanishes().await;
}

#[tokio::test]
async fn dropping_it_ends_all_even_if_the_watchdog_is_suspended() {
    let process = up(TREE).await;
    let trace = Trace::of(&process);
    send(trace.group, Signal::STOP);
    drop(process);
    trace.vanishes().await;
}

#[test]
fn it_can_be_dropped_outside_a_runtime() {
    let runtime = runtime();
    let process = runtime.block_on(up(TREE));
    let trace = Trace::of(&process);
    thread::spawn(move || drop(process)).join().unwrap();
    runtime.block_on(trace.vanishes());
}

#[test]
fn it_can_be_dropped_after_its_runtime_and_while_unwinding() {
    let first = runtime();
    let process = first.block_on(up(TREE));
    let trace = Trace::of(&process);
    drop(first);
    let unwound = panic::catch_unwind(panic::AssertUnwindSafe(|| {
        let _process = process;
        panic::resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    let second = runtime();
    second.block_on(trace.vanishes());
}

#[test]
fn a_start_that_is_dropped_leaves_nothing() {
    // A time that no other test sleeps marks the shell and its child.
    let mark = format!("sleep {}", 1_000_000_000 + u64::from(std::process::id()));
    let launch = sh(&format!("{mark} & wait"));
    let runtime = runtime();
    runtime.block_on(async {
        for delay in 0..20 {
            let start = spawn(SHELL, processes(launch.clone()), sink());
            let waited = time::timeout(Duration::from_micros(delay * 200), start);
            drop(waited.await);
        }
    });
    // Starts that are still under way continue, each on its thread.
    drop(runtime);
    let is_marked = |it: &seen::Process| it.is_alive() && it.command().contains(&mark);
    let marked = || seen::all().iter().any(is_marked);
    self::runtime().block_on(async {
        eventually("nothing is left", || !marked()).await;
        time::sleep(Duration::from_millis(100)).await;
        eventually("nothing comes later", || !marked()).await;
    });
}

#[tokio::test]
async fn a_missing_program_is_an_error_of_the_service() {
    let launch = command("/nonexistent/server", &[]);
    let LaunchError { what, error, .. } =
        spawn(SHELL, processes(launch), sink()).await.unwrap_err();
    assert_eq!((&*what, error.kind()), ("service", io::ErrorKind::NotFound));
}

#[test]
fn a_runtime_without_io_is_an_error_and_no_panic() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let started = runtime.block_on(spawn(SHELL, processes(sh("exit 0")), sink()));
    assert!(started.is_err());
}

#[tokio::test]
async fn a_program_that_is_just_being_written_is_waited_for() {
    let dir = Dir::new("busy");
    let program = dir.join("sh");
    std::fs::copy("/bin/sh", &program).unwrap();
    let writing = std::fs::File::options()
        .append(true)
        .open(&program)
        .unwrap();
    let closing = thread::spawn(move || {
        thread::sleep(Duration::from_millis(20));
        drop(writing);
    });
    let mut process = start(command(&program, &["-c", "exit 5"])).await;
    assert_eq!(within_limit(process.ended()).await.code, Some(5));
    closing.join().unwrap();
}

#[tokio::test]
async fn the_environment_is_what_was_asked_for() {
    let mut launch = sh("echo \"[$HOME][$EXTRA][$PWD]\"; echo up");
    launch.env.insert("EXTRA".into(), "given".into());
    launch.cwd = Some("/".into());
    let inheriting = start(launch.clone()).await;
    let home = env::var("HOME").unwrap_or_default();
    said(&inheriting, &format!("[{home}][given][/]")).await;

    launch.inherit_env = InheritEnv::Only(vec!["PATH".into()]);
    let bare = start(launch).await;
    said(&bare, "[][given][/]").await;
}

async fn without_shell(script: &str) -> Started {
    let launch = sh(script);
    let process = spawn("/nonexistent/sh", processes(launch), sink()).await;
    let process = process.unwrap();
    said(&process, "up\n").await;
    process
}

#[tokio::test]
async fn without_a_shell_the_service_leads_its_group_and_is_reaped_last() {
    let mut process = without_shell("sleep 1000 & echo up; exit 4").await;
    let trace = Trace::of(&process);
    assert_eq!(trace.group, trace.leader);
    assert_eq!(within_limit(process.ended()).await.code, Some(4));
    // No other group can have the number yet: a signal reaches the grandchild.
    process.stop();
    within_limit(process.gone()).await;
    trace.assert_gone();
}

#[tokio::test]
async fn without_a_shell_dropping_it_ends_all() {
    let process = without_shell(TREE).await;
    let trace = Trace::of(&process);
    drop(process);
    trace.vanishes().await;
}

/// A program that starts a service, and then does nothing.
#[test]
#[ignore = "a fixture of `nothing_outlives_a_program_that_is_killed`"]
fn program() {
    if is_fixture() {
        let process = runtime().block_on(up(TREE));
        let group = process.group.id();
        // The test reads the number from the output.
        drop(io::Write::write_all(
            &mut io::stdout(),
            format!("group {group}.\n").as_bytes(),
        ));
        thread::sleep(LIMIT * 3);
        drop(process);
    }
}

#[tokio::test]
async fn nothing_outlives_a_program_that_is_killed() {
    // Detached descendants are left alone, so that only the watchdog can end the program's service.
    let launch = fixture("launch::process::tests::life::program");
    let program = spawn(SHELL, only_the_group(launch), sink()).await.unwrap();
    said(&program, ".\n").await;
    let text = text(&program);
    let number = text
        .split_once("group ")
        .unwrap()
        .1
        .split_once('.')
        .unwrap()
        .0;
    let group: u32 = number.parse().unwrap();
    assert!(members(group).count() >= 4);

    send(program.pid(), Signal::KILL);
    let ended = || members(group).next().is_none();
    eventually("the service ends with the program", ended).await;
    finish(program).await;
}
