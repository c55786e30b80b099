//! Router mode, in which llama-server starts another llama-server for each model.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tokio::time::Instant;
use tower_local_service::Phase;

use crate::{
    llama::{PHRASE, chat, llama_server, model},
    real::{Client, Server, measured},
    support::{eventually, kill, within},
};

const FOLDER: &str = "ROUTER_FOLDER";
const PORT: &str = "ROUTER_PORT";

fn router(server: Server) -> Server {
    let folder = server.folder().display().to_string();
    server
        .args(["--models-dir", &folder, "--host", "127.0.0.1", "--offline"])
        .with_port()
}

fn new_router() -> Server {
    let server = Server::new(llama_server());
    server.file("tiny.gguf", std::fs::read(model()).expect("the tiny model"));
    router(server)
}

fn short() -> Value {
    json!({
        "model": "tiny",
        "messages": [{ "role": "user", "content": "Hello" }],
        "max_tokens": 64,
    })
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn the_servers_of_a_router_end_with_it() {
    let server = new_router();
    let service = server.service("llama-router");
    let client = Client::new(&server, &service);

    let answer = within("a chat", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    assert!(server.alive().len() >= 2, "the router and its child");

    let begun = Instant::now();
    service.stop().await.unwrap();
    measured("stop() of a router with one model", begun.elapsed());
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn the_servers_of_a_router_that_is_killed_end_too() {
    let server = new_router();
    let service = server.service("llama-killed-router");
    let client = Client::new(&server, &service);

    let answer = within("a chat", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    let old = server.alive();
    assert!(old.len() >= 2, "the router and its child");
    kill(service.status().pid.expect("it is ours"));
    eventually("its end is noticed", || {
        service.status().phase != Phase::Ready
    })
    .await;

    let answer = within("a chat with the next", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    let new = server.alive();
    assert!(old.iter().all(|pid| !new.contains(pid)), "{old:?} {new:?}");
    service.stop().await.unwrap();
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn the_servers_of_a_router_end_when_the_program_is_killed() {
    let server = new_router();
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "router::plays_the_program"])
        .env(FOLDER, server.folder())
        .env(PORT, server.port().to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let answered = server.folder().join("answered");
    eventually("the program has its answer", || answered.exists()).await;
    assert!(server.alive().len() >= 2, "the router and its child");

    let begun = Instant::now();
    program.kill().unwrap();
    program.wait().unwrap();
    eventually("nothing is left", || server.is_gone()).await;
    measured(
        "a router has ended after SIGKILL of its program",
        begun.elapsed(),
    );
    server.assert_gone();
}

/// Not a test: the program that the test above kills.
#[tokio::test]
#[ignore = "needs a test that runs it as a process of its own"]
async fn plays_the_program() {
    let (Ok(folder), Ok(port)) = (std::env::var(FOLDER), std::env::var(PORT)) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let server = Server::found_by(folder.clone(), port.parse().unwrap(), llama_server());
    let server = router(server);
    let service = server.service("llama-of-the-program");
    let client = Client::new(&server, &service);
    chat(&client, short()).await.unwrap();
    std::fs::write(folder.join("answered"), "").unwrap();
    std::future::pending::<()>().await;
}
