//! `stop()` while the server answers, and while it loads.
//!
//! While a connection waits for an answer, llama-server does not end on the first TERM.

use std::{pin::pin, time::Duration};

use http_body_util::BodyExt as _;
use tokio::time::Instant;
use tower_local_service::{ErrorKind, LocalService, Phase};

use crate::{
    llama::{PHRASE, SLOW_TO_LOAD, chat, endless, llama, short, until_busy},
    real::{Client, Server, drain, kind_of, measured},
    support::{eventually, get, until, within},
};

/// The second TERM comes after 3 s, and KILL after 6 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);

fn service(server: &Server, name: &str) -> LocalService {
    server.configured(name, server.config().stop_timeout(STOP_TIMEOUT))
}

/// Stops the server, and fails if that needed KILL.
async fn stop(server: &Server, service: &LocalService, what: &str) {
    let begun = Instant::now();
    service.stop().await.expect("nothing survives");
    let took = begun.elapsed();
    measured(what, took);
    server.assert_gone();
    assert!(took < STOP_TIMEOUT, "only KILL ended it, after {took:?}");
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_stop_during_a_stream_that_is_read_ends_both() {
    let server = llama();
    let service = service(&server, "llama-read-stream");
    let client = Client::new(&server, &service);

    let sent = client.post("/chat/completions", endless(true));
    let response = within("a stream", sent).await.unwrap();
    until_busy(&server).await;
    let begun = Instant::now();
    let read = async {
        let error = drain(response).await.unwrap_err();
        (error, begun.elapsed())
    };
    let stopped = stop(&server, &service, "stop() while a stream is read");
    let ((error, told), ()) = tokio::join!(read, stopped);

    assert!(
        matches!(kind_of(&error), ErrorKind::Stopped { .. }),
        "{error}"
    );
    // The reader gets its error before the stop is over.
    assert!(
        told < STOP_TIMEOUT / 3,
        "the reader got its error after {told:?}"
    );
    let answer = within("a chat after the stop", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    assert_eq!(service.status().starts, 2);
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_stop_during_a_stream_that_is_not_read_needs_no_kill() {
    let server = llama();
    let service = service(&server, "llama-unread-stream");
    let client = Client::new(&server, &service);

    let sent = client.post("/chat/completions", endless(true));
    let mut response = within("a stream", sent).await.unwrap();
    assert!(response.body_mut().frame().await.unwrap().is_ok());
    until_busy(&server).await;
    // The response is kept, and with it the connection.
    stop(&server, &service, "stop() while a stream is held").await;

    let error = within("the end of the stream", drain(response)).await;
    let error = error.unwrap_err();
    assert!(
        matches!(kind_of(&error), ErrorKind::Stopped { .. }),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_stop_during_a_plain_chat_needs_no_kill() {
    let server = llama();
    let service = service(&server, "llama-plain-chat");
    let client = Client::new(&server, &service);

    let mut sent = pin!(client.post("/chat/completions", endless(false)));
    tokio::select! {
        biased;
        answer = &mut sent => panic!("the endless chat has ended: {answer:?}"),
        () = until_busy(&server) => {}
    }
    // The request is kept, and with it the connection.
    stop(&server, &service, "stop() while a plain chat is held").await;

    let error = within("the end of the chat", sent).await.unwrap_err();
    assert!(
        matches!(kind_of(&error), ErrorKind::Stopped { .. }),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn an_idle_server_ends_on_the_first_signal() {
    let server = llama();
    let service = service(&server, "llama-idle");
    let client = Client::new(&server, &service);

    let answer = within("a chat", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    let begun = Instant::now();
    stop(&server, &service, "stop() of an idle server").await;
    assert!(begun.elapsed() < STOP_TIMEOUT / 2);
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_stop_at_any_moment_of_a_start_leaves_nothing_and_serves_the_waiters() {
    for delay in [0, 3, 6, 10, 20, 40, 80] {
        let server = llama().args(SLOW_TO_LOAD);
        let service = service(&server, "llama-stopped-early");
        let client = Client::new(&server, &service);

        let waits = within("a chat through a stop", chat(&client, short()));
        let stopped = async {
            eventually("a process", || service.status().pid.is_some()).await;
            tokio::time::sleep(Duration::from_millis(delay)).await;
            let (pid, phase) = (service.status().pid, service.status().phase);
            service.stop().await.unwrap();
            (pid, phase)
        };
        let (answer, (pid, phase)) = tokio::join!(waits, stopped);

        // A late stop may have come during the chat itself.
        match answer {
            Ok(answer) => assert_eq!(answer, PHRASE, "stopped after {delay} ms"),
            Err(error) => {
                assert!(
                    matches!(kind_of(&error), ErrorKind::Stopped { .. }),
                    "{error}"
                );
                assert_eq!(phase, Phase::Ready, "stopped after {delay} ms");
            }
        }
        if phase == Phase::Starting {
            assert_eq!(service.status().starts, 2, "stopped after {delay} ms");
            assert!(pid.is_some_and(|pid| !server.alive().contains(&pid)));
        }
        service.stop().await.unwrap();
        server.assert_gone();
    }
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_stop_while_it_loads_its_model_is_quick() {
    let server = llama().args(SLOW_TO_LOAD);
    let service = service(&server, "llama-loading");

    let mut start = pin!(service.start());
    let loads = async {
        while get(server.port(), "/v1/models")
            .await
            .map_or(0, |it| it.status)
            != 503
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        () = within("it says that it loads", loads) => {}
        started = &mut start => panic!("ready too soon: {started:?}"),
    }
    let begun = Instant::now();
    service.stop().await.unwrap();
    let took = begun.elapsed();
    measured("stop() while it loads its model", took);
    assert!(took < STOP_TIMEOUT / 2, "one TERM was not enough: {took:?}");

    // The request that waited for the start is served by a new server.
    within("the second start", start).await.unwrap();
    assert!(until(|| service.status().starts == 2).await);
    service.stop().await.unwrap();
    server.assert_gone();
}
