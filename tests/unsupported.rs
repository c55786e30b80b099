//! Where the crate cannot start processes, which `.ci/unsupported` makes of Linux: it says so, uses servers that run, and
//! shares nothing with other programs.
#![cfg(tower_local_service_unsupported)]
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    thread,
};

use tower_local_service::{
    Error, ErrorKind, LocalService, LocalServiceConfig, Ownership, Registry, docker::Container,
};

/// A service on a free port, and its port.
fn service(config: LocalServiceConfig) -> (LocalService, u16) {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/v1");
    let service = Registry::new().service("llama", url, config);
    (service.expect("a configuration that works"), port)
}

/// Answers each request with 200, one after the other.
fn serve(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head = lines.take_while(|line| line.as_ref().is_ok_and(|it| !it.is_empty()));
            head.for_each(drop);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            drop(stream.write_all(answer));
        }
    });
}

async fn refusal(service: &LocalService) -> Error {
    let error = service.acquire().await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Unsupported { .. }),
        "{error}"
    );
    assert_eq!(error.status_code(), 501);
    error
}

#[tokio::test]
async fn a_command_is_not_started_and_the_error_says_so_each_time() {
    let command = env::current_exe().expect("this program");
    let (service, _) = service(LocalServiceConfig::new(command));
    for _ in 0..5 {
        let text = refusal(&service).await.to_string();
        for part in [
            "cannot make sure that a process ends with your program",
            "start the server yourself",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[tokio::test]
async fn a_server_that_runs_is_used() {
    let command = env::current_exe().expect("this program");
    let (service, port) = service(LocalServiceConfig::new(command));
    refusal(&service).await;
    serve(port);
    let lease = service.acquire().await.unwrap();
    let ownership = service.status().ownership;
    assert!(
        matches!(ownership, Some(Ownership::External { pid: None, .. })),
        "{ownership:?}"
    );
    drop(lease);
}

#[tokio::test]
async fn a_container_is_not_started_whatever_is_configured() {
    for engine in [None, Some("unix:///run/of.another.system"), Some("a pipe")] {
        let mut container = Container::new("llama");
        if let Some(engine) = engine {
            container = container.engine(engine);
        }
        let (service, _) = service(LocalServiceConfig::launched_by(container));
        let text = refusal(&service).await.to_string();
        for part in ["over a Unix socket only", "start the container yourself"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn nothing_is_guaranteed() {
    let guarantees = Registry::new().guarantees();
    assert!(!guarantees.dies_with_program && !guarantees.has_grace);
    assert!(!guarantees.finds_descendants && !guarantees.keeps_descendants);
    assert!(!guarantees.shares_servers && !guarantees.sees_use);
}
