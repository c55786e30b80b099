//! A wrapper in Python, as in some packages of servers: it starts the server as its child and waits for
//! it, and TERM to the wrapper does not end the server.

use tokio::time::Instant;
use tower_local_service::Phase;

use crate::{
    llama::{PHRASE, chat, llama_server, model, short},
    real::{Client, Server, measured, on_path},
    support::{eventually, is_alive, kill, within},
};

const WRAPPER: &str = "import subprocess, sys\nsys.exit(subprocess.call(sys.argv[1:]))\n";

#[expect(clippy::print_stderr, reason = "it prints why a test was skipped")]
fn wrapped() -> Option<Server> {
    let Some(python) = on_path("python3") else {
        eprintln!("skipped: there is no python3 on the PATH");
        return None;
    };
    let server = Server::new(python);
    let (script, program) = (server.file("wrapper.py", WRAPPER), llama_server());
    let (program, model) = (program.display().to_string(), model().display().to_string());
    let server = server.args([&script, &program, "--model", &model, "--host", "127.0.0.1"]);
    Some(server.with_port())
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_server_behind_a_wrapper_ends_with_it() {
    let Some(server) = wrapped() else { return };
    let service = server.service("llama-wrapped");
    let client = Client::new(&server, &service);

    let answer = within("a chat", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    let all = server.alive();
    assert!(all.len() >= 2, "the wrapper and its server");

    let begun = Instant::now();
    service.stop().await.unwrap();
    measured(
        "stop() of a wrapper in Python with its server",
        begun.elapsed(),
    );
    assert!(all.iter().all(|pid| !is_alive(*pid)));
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_server_whose_wrapper_is_killed_ends_too() {
    let Some(server) = wrapped() else { return };
    let service = server.service("llama-orphan");
    let client = Client::new(&server, &service);

    let answer = within("a chat", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    let old = server.alive();
    kill(service.status().pid.expect("it is ours"));
    eventually("its end is noticed", || {
        service.status().phase != Phase::Ready
    })
    .await;

    let answer = within("a chat with the next", chat(&client, short())).await;
    assert_eq!(answer.unwrap(), PHRASE);
    assert_eq!(service.status().starts, 2);
    let new = server.alive();
    assert!(old.iter().all(|pid| !new.contains(pid)), "{old:?} {new:?}");
    service.stop().await.unwrap();
    server.assert_gone();
}
