//! Stop commands, commands that only start the server, and the request that a server has to answer before it is ready.

use super::*;
use crate::{config::ReadyRequest, launch::Listener};

fn with_command() -> LocalServiceConfig {
    config()
        .stop_timeout(4 * SEC)
        .stop_command(["/bin/true", "--name", "llama"])
}

async fn ready(fake: &Fake, config: LocalServiceConfig) -> LocalService {
    let service = service(fake, config);
    service.start().await.unwrap();
    service
}

/// How long it took, and what came of it.
async fn stop(service: &LocalService) -> (Duration, Result<(), Error>) {
    let begun = Instant::now();
    let stopped = service.stop().await;
    (begun.elapsed(), stopped)
}

#[tokio::test(start_paused = true)]
async fn a_stop_command_that_ends_the_server_is_all_that_a_stop_needs() {
    let fake = Fake::new();
    fake.script().stop_command.takes = SEC;
    let service = ready(&fake, with_command()).await;
    let (took, stopped) = stop(&service).await;
    stopped.unwrap();
    assert!(SEC <= took && took <= SEC + 10 * MS, "{took:?}");
    assert_eq!(fake.count(What::StopCommand), 1);
    assert_eq!((fake.count(What::Term), fake.count(What::Kill)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn after_a_stop_command_that_fails_signals_follow_at_once() {
    let fake = Fake::new();
    {
        let command = &mut fake.script().stop_command;
        (command.code, command.ends_server, command.takes) = (1, false, 50 * MS);
    }
    let service = ready(&fake, with_command()).await;
    let (took, stopped) = stop(&service).await;
    stopped.unwrap();
    assert!(took <= 60 * MS, "{took:?}");
    assert_eq!(fake.count(What::Term), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_command_that_hangs_is_killed_after_the_stop_timeout_and_signals_follow() {
    let fake = Fake::new();
    fake.script().stop_command.takes = Duration::MAX;
    fake.script().heeds_term = None;
    let service = ready(&fake, with_command()).await;
    let begun = Instant::now();
    service.stop().await.unwrap();
    let after = |what| {
        fake.times(what)
            .iter()
            .map(|it| *it - begun)
            .collect::<Vec<_>>()
    };
    assert_eq!(after(What::StopCommandKilled), [4 * SEC]);
    assert_eq!(after(What::Term), [4 * SEC, 6 * SEC]);
    assert_eq!(after(What::Kill), [8 * SEC]);
}

#[tokio::test(start_paused = true)]
async fn a_stop_command_that_still_works_when_the_process_is_gone_comes_to_its_end() {
    let fake = Fake::new();
    fake.script().stop_command.takes = 2 * SEC;
    let service = ready(&fake, with_command()).await;
    let stopping = {
        let service = service.clone();
        Handle::current().spawn(async move { stop(&service).await })
    };
    sleep(SEC).await;
    fake.exit(0);
    let (took, stopped) = stopping.await.unwrap();
    stopped.unwrap();
    assert!(2 * SEC <= took && took <= 2 * SEC + 10 * MS, "{took:?}");
    assert_eq!(fake.count(What::StopCommandKilled), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_for_idleness_begins_with_the_command_too() {
    let fake = Fake::new();
    let service = ready(&fake, with_command().idle_stop(SEC)).await;
    sleep(3 * SEC).await;
    assert_eq!(phase(&service), Phase::Stopped);
    assert_eq!(
        (fake.count(What::StopCommand), fake.count(What::Term)),
        (1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_its_stop_command_left_answering_is_an_error_and_then_an_external_one() {
    let fake = Fake::new();
    let service = ready(&fake, with_command().launcher(true)).await;
    // The command ends well, and so do the processes that are known; the daemon runs on.
    fake.script().elsewhere = Answer::Ready;
    let (took, stopped) = stop(&service).await;
    let error = stopped.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::StillAnswers { .. }),
        "{error}"
    );
    assert!(error.hint().contains("`stopCommand`"), "{}", error.hint());
    assert!(took <= 5 * SEC, "{took:?}");
    assert_eq!(phase(&service), Phase::Failed);
    let last = service.status().last_error.unwrap();
    assert!(
        matches!(last.kind(), ErrorKind::StillAnswers { .. }),
        "{last}"
    );

    drop(service.acquire().await.unwrap());
    let ownership = service.status().ownership;
    assert!(
        matches!(ownership, Some(Ownership::External { .. })),
        "{ownership:?}"
    );
    assert_eq!(fake.count(What::Spawned), 1);
}

#[tokio::test(start_paused = true)]
async fn a_daemon_may_take_all_of_the_stop_timeout_to_leave_its_port() {
    let fake = Fake::new();
    let service = ready(&fake, with_command().launcher(true)).await;
    fake.script().elsewhere = Answer::Ready;
    let stopping = {
        let service = service.clone();
        Handle::current().spawn(async move { stop(&service).await })
    };
    sleep(3 * SEC).await;
    fake.script().elsewhere = Answer::Refused;
    let (took, stopped) = stopping.await.unwrap();
    stopped.unwrap();
    assert!(3 * SEC <= took && took <= 3 * SEC + 60 * MS, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_launcher_that_fails_has_what_it_started_ended() {
    let fake = Fake::new();
    fake.script().load_time = Duration::MAX;
    let service = service(&fake, with_command().launcher(true));
    let waiter = asks(&service);
    sleep(SEC).await;
    fake.exit(1);
    let error = waiter.await.unwrap().unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: Some(1), .. }),
        "{error}"
    );
    assert_eq!(fake.count(What::StopCommand), 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_ends_well_while_its_port_answers_has_left_the_server_to_another_process() {
    let fake = Fake::new();
    // The system does not tell whose port it is, so the answer counts as that of the process.
    fake.script().listener = Listener::Unseen;
    let service = ready(&fake, config()).await;
    let lease = service.acquire().await.unwrap();
    fake.script().elsewhere = Answer::Ready;
    fake.exit(0);
    sleep(10 * MS).await;
    let ownership = service.status().ownership;
    assert!(
        matches!(ownership, Some(Ownership::External { .. })),
        "{ownership:?}"
    );
    let next = service.acquire().await.unwrap();
    assert_eq!(next.instance(), lease.instance(), "the leases continue");
    assert_eq!(fake.count(What::Spawned), 1);
}

/// Without the key, it depends on whether the server answers when nothing of the command is left: then it is an external
/// server, and otherwise the start fails.
#[tokio::test(start_paused = true)]
async fn a_command_that_ends_well_before_its_server_answers_fails_with_a_hint_or_has_left_it() {
    for answers_at_the_exit in [true, false] {
        let fake = Fake::new();
        fake.script().load_time = Duration::MAX;
        let service = service(&fake, config());
        let waiter = asks(&service);
        sleep(SEC).await;
        if answers_at_the_exit {
            fake.script().elsewhere = Answer::Ready;
        }
        fake.exit(0);
        let outcome = waiter.await.unwrap();
        if answers_at_the_exit {
            drop(outcome.unwrap());
        } else {
            let error = outcome.unwrap_err();
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::Exited { code: Some(0), .. }),
                "{error}"
            );
            assert!(error.hint().contains("`launcher`"), "{}", error.hint());
            sleep(200 * MS).await;
            fake.script().elsewhere = Answer::Ready;
            drop(service.acquire().await.unwrap());
        }
        let ownership = service.status().ownership;
        assert!(
            matches!(ownership, Some(Ownership::External { .. })),
            "{ownership:?}"
        );
        assert_eq!(fake.count(What::Spawned), 1);
    }
}

// === The ready request ===

fn with_request() -> LocalServiceConfig {
    config().ready_request(ReadyRequest::post("/v1/completions").json("{}"))
}

#[tokio::test(start_paused = true)]
async fn a_server_is_ready_when_it_has_answered_the_ready_request_and_is_asked_once() {
    let fake = Fake::new();
    fake.script().asked = (Answer::Ready, 5 * SEC);
    let service = service(&fake, with_request());
    let lease = service.acquire().await.unwrap();
    assert!(5 * SEC <= lease.waited() && lease.waited() <= 5 * SEC + 10 * MS);
    drop(lease);
    for _ in 0..3 {
        drop(service.acquire().await.unwrap());
    }
    assert_eq!(fake.count(What::Asked), 1);
    service.stop().await.unwrap();
    drop(service.acquire().await.unwrap());
    assert_eq!(fake.count(What::Asked), 2, "once for each instance");
}

#[tokio::test(start_paused = true)]
async fn a_ready_request_that_is_answered_wrongly_fails_the_start() {
    let fake = Fake::new();
    fake.script().asked = (Answer::Status(404), MS);
    let service = service(&fake, with_request());
    let error = service.acquire().await.unwrap_err();
    let shown = error.to_string();
    assert!(
        matches!(error.kind(), ErrorKind::HealthRejected { status: 404, .. }),
        "{error}"
    );
    assert!(
        shown.contains("answers its ready request POST http://127.0.0.1:8080/v1/completions"),
        "{shown}"
    );
    assert!(error.hint().contains("`readyRequest`"), "{}", error.hint());
    sleep(SEC).await;
    assert!(!fake.is_running());
    // It counts as a failed start.
    drop(service.acquire().await.unwrap_err());
    let error = service.acquire().await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::CrashLoop { .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_ready_request_that_is_never_answered_is_a_timeout() {
    let fake = Fake::new();
    fake.script().asked = (Answer::Ready, Duration::MAX);
    let service = service(&fake, with_request().ready_timeout(10 * SEC));
    let begun = Instant::now();
    let error = service.acquire().await.unwrap_err();
    assert_eq!(begun.elapsed(), 10 * SEC + MS);
    let ErrorKind::ReadyTimeout { last_probe, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(last_probe, "no answer");
    assert!(
        error.to_string().contains("its ready request POST"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_ready_request_whose_connection_breaks_or_that_comes_too_early_is_sent_again() {
    for answer in [Answer::Closed, Answer::Refused, Answer::Status(503)] {
        let fake = Fake::new();
        fake.script().asked = (answer, MS);
        let service = service(&fake, with_request());
        let waiter = asks(&service);
        sleep(SEC).await;
        assert!(!waiter.is_finished());
        let asked = fake.count(What::Asked);
        assert!((2..200).contains(&asked), "{asked} times");
        fake.script().asked = (Answer::Ready, MS);
        drop(waiter.await.unwrap().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn an_external_server_gets_no_ready_request() {
    let fake = Fake::new();
    fake.script().elsewhere = Answer::Ready;
    let service = service(&fake, with_request());
    drop(service.acquire().await.unwrap());
    assert_eq!((fake.count(What::Asked), fake.count(What::Spawned)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_under_the_ready_request_fails_the_start_at_once() {
    let fake = Fake::new();
    fake.script().asked = (Answer::Ready, Duration::MAX);
    let service = service(&fake, with_request());
    let waiter = asks(&service);
    sleep(SEC).await;
    let died = Instant::now();
    fake.exit(3);
    let error = waiter.await.unwrap().unwrap_err();
    assert!(died.elapsed() <= 10 * MS, "{:?}", died.elapsed());
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: Some(3), .. }),
        "{error}"
    );
}
