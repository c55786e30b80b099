//! uvicorn with workers: the parent has the port, and the workers, each a process of its own, answer.

use tokio::time::Instant;
use tower_local_service::{Ownership, Phase};

use crate::{
    real::{Client, Server, measured, program},
    support::{eventually, is_alive, kill, within},
};

const APP: &str = r#"
import os

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"#;

fn uvicorn() -> Server {
    let server = Server::new(program("UVICORN"));
    server.file("app.py", APP);
    let folder = server.folder().display().to_string();
    let args = [
        "--workers",
        "2",
        "--host",
        "127.0.0.1",
        "--app-dir",
        &folder,
    ];
    server.args(args).with_port().args(["app:app"])
}

#[tokio::test]
#[ignore = "needs UVICORN=/path/to/uvicorn"]
async fn workers_end_with_their_parent() {
    let server = uvicorn();
    let service = server.service("uvicorn-stopped");
    let client = Client::new(&server, &service);

    let begun = Instant::now();
    within("an answer", client.text("/models")).await.unwrap();
    measured("uvicorn with 2 workers: first answer", begun.elapsed());
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    eventually("parent and workers", || server.alive().len() >= 3).await;
    let all = server.alive();

    let begun = Instant::now();
    service.stop().await.unwrap();
    measured("uvicorn with 2 workers: stop()", begun.elapsed());
    assert!(all.iter().all(|pid| !is_alive(*pid)));
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs UVICORN=/path/to/uvicorn"]
async fn workers_whose_parent_is_killed_end_too() {
    let server = uvicorn();
    let service = server.service("uvicorn-killed");
    let client = Client::new(&server, &service);

    within("an answer", client.text("/models")).await.unwrap();
    eventually("parent and workers", || server.alive().len() >= 3).await;
    let old = server.alive();
    kill(service.status().pid.expect("it is ours"));
    eventually("its end is noticed", || {
        service.status().phase != Phase::Ready
    })
    .await;

    // If a worker of the first instance were left, it would still answer, as it has the port, too.
    let worker = within("an answer of the next", client.text("/models")).await;
    let worker = worker.unwrap().parse().unwrap();
    assert!(!old.contains(&worker));
    let new = server.alive();
    assert!(old.iter().all(|pid| !new.contains(pid)), "{old:?} {new:?}");
    assert_eq!(service.status().ownership, Some(Ownership::Owned));
    assert_eq!(service.status().starts, 2);
    service.stop().await.unwrap();
    server.assert_gone();
}
