//! P14: a process that survives KILL is reported in time, and nothing is started beside it.
//!
//! Without privileges a test cannot make a process survive KILL. But it can keep one from being reaped:
//! the zombie of a traced process stays until its tracer has looked at it. And it can make the system
//! refuse every signal.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use rustix::process::Signal;
use tower_local_service::{ErrorKind, Phase};

use crate::support::{
    Fixture, Pid, alone_with, ask, block_on, blocking_until, can, eventually, is_alive,
    is_suspended, kill, ms, now, shake_off_tracer, signal, since, within,
};

/// A suspended tracer. It is continued and ended when dropped.
struct Tracer(Child);

impl Tracer {
    async fn of(pid: Pid) -> Self {
        let tracer = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let tracer = Self(tracer.unwrap());
        eventually("all of its threads are traced", || {
            let mut threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
            let wanted = format!("TracerPid:\t{}\n", tracer.0.id());
            threads.all(|it| {
                let status = fs::read_to_string(it.path().join("status"));
                status.is_ok_and(|status| status.contains(&wanted))
            })
        })
        .await;
        signal(tracer.0.id(), Signal::STOP);
        let has_stopped = || is_suspended(tracer.0.id());
        eventually("the tracer has stopped", has_stopped).await;
        tracer
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        signal(self.0.id(), Signal::CONT);
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Some machines let a process trace only its own children.
fn can_trace() -> bool {
    let sibling = "sleep 1 & strace -qq -o /dev/null -p $!";
    can(&["sh", "-c", sibling])
}

#[tokio::test]
async fn a_process_that_cannot_be_ended_is_reported_in_time_and_nothing_is_started_beside_it() {
    if !can_trace() {
        return;
    }
    let fixture = Fixture::new();
    let config = fixture.config().stop_timeout(ms(400));
    let service = fixture.configured("unkillable", config);
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let server = fixture.starts()[0];
    let tracer = Tracer::of(server).await;

    let begun = now();
    let error = within("the end of a stop", service.stop())
        .await
        .unwrap_err();
    let took = since(begun);
    let told =
        matches!(error.kind(), ErrorKind::Unkillable { pid: Some(pid), .. } if *pid == server);
    assert!(told, "{error}");
    assert!(error.to_string().contains(&server.to_string()), "{error}");
    assert!(took >= ms(2400) && took < ms(8000), "{took:?}");

    assert_eq!(service.status().phase, Phase::Failed);
    for _ in 0..3 {
        let error = within("an answer", service.acquire()).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Unkillable { .. }),
            "{error}"
        );
    }
    assert_eq!(fixture.starts().len(), 1);

    drop(tracer);
    eventually("it is gone after all", || service.status().pid.is_none()).await;
    ask(&service, &fixture.url("/hello")).await.unwrap();
    assert_eq!(fixture.starts().len(), 2);
}

#[test]
#[ignore = "run by the test below, where every `kill` is refused"]
fn plays_a_program_that_may_not_kill() {
    let fixture = Fixture::new();
    let config = fixture.config().stop_timeout(ms(400));
    let service = fixture.configured("untouchable", config);
    block_on(service.start()).unwrap();
    let error = block_on(service.stop()).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unkillable { .. }),
        "{error}"
    );
    assert_eq!(service.status().phase, Phase::Failed);
    let first = fixture.starts()[0];
    let beside = block_on(service.acquire());
    // Where a control group may be made, the watchdog ends the process by that, some two seconds after KILL.
    assert!(
        beside.is_err() || !is_alive(first),
        "not beside the process that runs"
    );
    assert!(fixture.alive().len() <= 1);
    drop(beside);

    shake_off_tracer();
    // As the error advises.
    fixture.alive().into_iter().for_each(kill);
    assert!(blocking_until(|| block_on(service.acquire()).is_ok()));
    assert!(!is_alive(first) && fixture.starts().len() >= 2);
}

#[test]
fn if_signals_are_refused_a_stop_says_so_and_nothing_is_started_beside_the_process() {
    let failed = alone_with(
        "kill:error=EPERM",
        "unkillable::plays_a_program_that_may_not_kill",
    );
    assert_ne!(failed, Some(0));
}
