//! Connections, and what becomes of each call before it is executed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, request::Parts};
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};

use super::{
    ADMIN_TOKEN, PROGRAM_TOKEN, Shared,
    call::{self, Call},
    fault::Fault,
    forward, objects,
    status::{self, Answer},
    stream,
};

pub(super) enum Command {
    Restart {
        pause: Duration,
        done: oneshot::Sender<()>,
    },
    Cut {
        done: oneshot::Sender<()>,
    },
}

pub(super) async fn serve(
    port: u16,
    shared: &Arc<Shared>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    listens: oneshot::Sender<()>,
) {
    let listen = async || {
        TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("its port")
    };
    let mut listener = listen().await;
    let mut connections = JoinSet::new();
    let _ = listens.send(());
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(connection(stream, Arc::clone(shared)));
            },
            Some(_) = connections.join_next() => {}
            command = commands.recv() => match command {
                Some(Command::Restart { pause, done }) => {
                    drop(listener);
                    connections.shutdown().await;
                    sleep(pause).await;
                    listener = listen().await;
                    let _ = done.send(());
                }
                Some(Command::Cut { done }) => {
                    connections.shutdown().await;
                    let _ = done.send(());
                }
                None => return,
            },
        }
    }
}

/// Serves one connection. Its port-forwards end with it.
async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let forwards = Mutex::new(JoinSet::new());
    let service = service_fn(|request| respond(request, &shared, &forwards));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // Its error is the client's, or an answer that was to be lost.
    drop(connection.with_upgrades().await);
    let mut forwards = forwards.into_inner().unwrap();
    while forwards.join_next().await.is_some() {}
}

/// The answer is not given, and the connection ends.
#[derive(Debug)]
struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer is lost")
    }
}

impl std::error::Error for Lost {}

async fn respond(
    mut request: Request<Incoming>,
    shared: &Arc<Shared>,
    forwards: &Mutex<JoinSet<()>>,
) -> Result<Answer, Lost> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Lost)?.to_bytes();
    let call = match called(shared, &parts, &body) {
        Ok(call) => call,
        Err(answer) => return Ok(*answer),
    };
    let (fault, healed) = fault_of(shared, &call);
    if !has_right(shared, &call) {
        return Ok(status::refused(&call, 403));
    }
    let all = Arc::clone(shared);
    let wait = async move {
        match fault {
            Some(Fault::Delay(time)) => sleep(time).await,
            Some(Fault::Hold) => until_healed(&all, healed).await,
            _ => {}
        }
    };
    match fault {
        Some(Fault::Hang) => return std::future::pending().await,
        Some(Fault::Status(code)) => return Ok(status::refused(&call, code)),
        _ => {}
    }
    if call.part == "portforward" {
        wait.await;
        let forward = forward::answer(shared, &call, &parts);
        return Ok(forward.map_or_else(
            |refused| *refused,
            |(answer, forward)| {
                forwards.lock().unwrap().spawn(forward.run(upgrade));
                answer
            },
        ));
    }
    let shared = Arc::clone(shared);
    // A task, as a call that came in is executed though its client has gone.
    let executed = Handle::current().spawn(async move {
        wait.await;
        execute(&shared, call)
    });
    let answer = executed.await.map_err(|_| Lost)?;
    match fault {
        Some(Fault::LoseAnswer) => Err(Lost),
        _ => Ok(answer),
    }
}

/// What is asked for, by whom; or the answer to what needs no object.
fn called(shared: &Shared, parts: &Parts, body: &[u8]) -> Result<Call, Box<Answer>> {
    match parts.uri.path() {
        "/readyz" | "/livez" | "/healthz" => return Err(Box::new(status::text(200, "ok"))),
        "/version" => {
            let version = json!({
                "major": "1", "minor": "35", "gitVersion": "v1.35.0", "gitCommit": "", "gitTreeState": "clean",
                "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.25", "compiler": "gc", "platform": "linux/amd64",
            });
            return Err(Box::new(status::answer(200, &version)));
        }
        path => {
            if let Some(list) = call::resources_at(path, &shared.faults().unknown) {
                return Err(Box::new(status::answer(200, &list)));
            }
        }
    }
    let authorization = parts
        .headers
        .get("authorization")
        .and_then(|it| it.to_str().ok());
    let of_program = match authorization.and_then(|it| it.strip_prefix("Bearer ")) {
        Some(PROGRAM_TOKEN) => true,
        Some(ADMIN_TOKEN) => false,
        _ => return Err(Box::new(status::unauthorized())),
    };
    let call = Call::new(parts, body, of_program)?;
    let is_it = |unknown: &String| unknown == call.resource.name;
    if of_program && shared.faults().unknown.iter().any(is_it) {
        return Err(Box::new(status::no_such_path()));
    }
    Ok(call)
}

/// Counts the call, and says what goes wrong with it, and how often the faults were ended before.
fn fault_of(shared: &Shared, call: &Call) -> (Option<Fault>, usize) {
    if !call.of_program {
        return (None, 0);
    }
    shared.calls.lock().unwrap().push(call.line());
    let mut faults = shared.faults();
    (faults.take(&call.kind()), faults.healed)
}

fn has_right(shared: &Shared, call: &Call) -> bool {
    let rights = shared.rights.lock().unwrap();
    let rights = rights.as_ref().filter(|_| call.of_program);
    rights.is_none_or(|it| it.allow(call.verb, call.resource.group, &call.of()))
}

async fn until_healed(shared: &Shared, healed: usize) {
    let mut changed = shared.changed.subscribe();
    while shared.faults().healed == healed {
        if changed.changed().await.is_err() {
            return;
        }
    }
}

fn execute(shared: &Arc<Shared>, call: Call) -> Answer {
    if call.verb == "watch" {
        return stream::answer(shared, call);
    }
    let answer = objects::execute(&mut shared.store(), &call);
    shared.changed.send_replace(());
    answer
}
