//! A port that another program has, before the start or in the middle of it.

use std::{net::TcpListener, time::Duration};

use tower_local_service::{ErrorKind, Ownership};

use crate::{
    llama::{
        LONG_TO_LOAD, PHRASE, SLOW_TO_LOAD, chat, llama, llama_on, llama_server, model, short,
    },
    real::{Client, Server},
    support::{eventually, free_port, get, is_alive, until, within},
};

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn an_external_server_is_used_and_never_stopped() {
    let external = llama();
    let outside = external.run_outside();
    let configured = llama_on(external.port());
    let service = configured.service("llama-external");
    let client = Client::new(&configured, &service);

    // It may still be loading; the request waits for it.
    while get(external.port(), "/v1/models").await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let answer = within("a chat", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    assert!(matches!(
        service.status().ownership,
        Some(Ownership::External { .. })
    ));
    let refused = service.stop().await.unwrap_err();
    let is_external = matches!(refused.kind(), ErrorKind::External { .. });
    assert!(is_external, "{refused}");
    drop((client, service));
    assert!(configured.alive().is_empty());
    assert!(is_alive(outside.pid()));
    assert_eq!(get(external.port(), "/health").await.unwrap().status, 200);
    drop(outside);
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_port_that_it_cannot_bind_is_an_error_with_its_last_lines() {
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    // The address of the base URL is free; the one in the arguments is not.
    let server = Server::new(llama_server()).args([
        "--model",
        &model().display().to_string(),
        "--host",
        "127.0.0.1",
        "--port",
        &port,
    ]);
    let service = server.service("llama-taken-port");

    // A llama-server that ends at once may lose its last lines, on a busy machine even all of them.
    let mut seen = Vec::new();
    for _ in 0..10 {
        let before = service.status().starts;
        let error = within("an error", service.start()).await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Exited { code: Some(1), .. }),
            "{error:?}"
        );
        let tail = error.output_tail().unwrap_or_default().to_owned();
        // The port that it names is not the service's, so a start once more would change nothing.
        let starts = service.status().starts - before;
        if starts == 1 && tail.contains("couldn't bind") && tail.contains(&port) {
            seen.clear();
            break;
        }
        seen.push((starts, tail));
    }
    assert!(seen.is_empty(), "never seen: {seen:?}");
    server.assert_gone();
}

/// Two programs start the same server at the same time: both find the port free.
#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn the_loser_of_a_race_for_the_port_waits_for_the_winner() {
    let external = llama().args(LONG_TO_LOAD);
    // This one waits before it starts until the other one has the port.
    let configured = Server::on(external.port(), "/bin/sh");
    let script = "touch \"$0/ready\"; until [ -e \"$0/go\" ]; do sleep 0.002; done; exec \"$@\"";
    let folder = configured.folder().display().to_string();
    let program = llama_server().display().to_string();
    let model = model().display().to_string();
    let configured = configured.args(["-c", script, &folder, &program, "--model", &model]);
    let configured = configured.args(["--host", "127.0.0.1"]).with_port();
    let service = configured.service("llama-race");
    let client = Client::new(&configured, &service);

    let raced = async {
        let folder = configured.folder();
        eventually("configured is started", || folder.join("ready").exists()).await;
        let outside = external.run_outside();
        while get(external.port(), "/health")
            .await
            .map_or(0, |it| it.status)
            != 503
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        configured.file("go", "");
        outside
    };
    let both = async { tokio::join!(chat(&client, short()), raced) };
    let (answer, outside) = within("a chat", both).await;

    assert_eq!(answer.expect("it is served"), PHRASE);
    assert!(matches!(
        service.status().ownership,
        Some(Ownership::External { .. })
    ));
    assert_eq!(service.status().starts, 1);
    let refused = service.stop().await.unwrap_err();
    let is_external = matches!(refused.kind(), ErrorKind::External { .. });
    assert!(is_external, "{refused}");
    assert!(is_alive(outside.pid()));
    drop((client, service, outside));
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_race_for_the_port_is_served_whichever_program_wins() {
    for head_start in [0, 1, 2, 3, 4, 6] {
        let external = llama().args(SLOW_TO_LOAD);
        let configured = llama_on(external.port());
        let service = configured.service("llama-close-race");
        let client = Client::new(&configured, &service);

        let outside = external.run_outside();
        tokio::time::sleep(Duration::from_millis(head_start)).await;
        let answer = within("a chat", chat(&client, short())).await;
        let answer = answer.unwrap_or_else(|error| panic!("after {head_start} ms: {error}"));
        assert_eq!(answer, PHRASE);
        drop((client, service));
        assert!(until(|| configured.alive().is_empty()).await);
        drop(outside);
    }
}
