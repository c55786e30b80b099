//! The small server of the examples, with as much of the `OpenAI` API as they ask for. An example starts itself as
//! its server, so that there is nothing to install.
#![allow(dead_code, reason = "each example uses a part of it")]

use std::{
    env,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;
use tower_local_service::LocalServiceConfig;

/// With this argument a program is the server. A port, the name of its model and how many milliseconds that takes
/// to load follow.
pub(crate) const SERVE: &str = "--serve";

/// How long it pretends to load a model.
pub(crate) const LOADING: Duration = Duration::from_millis(1500);
/// How long it pretends to think about a token.
const THINKING: Duration = Duration::from_millis(40);

pub(crate) const QUESTION: &str = r#"{
    "model": "small",
    "messages": [{ "role": "user", "content": "Who started you?" }],
    "stream": true
}"#;

const ANSWER: &str = "Nobody did, until you asked. Your request found no server here, started me as \
                      a process of its own, and waited until I was ready. Once nobody uses me any \
                      more, I am stopped.";

/// How to start this program as a server on that port.
pub(crate) fn config(port: u16, model: &str, loading: Duration) -> io::Result<LocalServiceConfig> {
    let args = [
        SERVE,
        &port.to_string(),
        model,
        &loading.as_millis().to_string(),
    ]
    .map(String::from);
    Ok(LocalServiceConfig::new(env::current_exe()?).args(args))
}

pub(crate) fn base_url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/v1")
}

/// A port on which no process listens now.
pub(crate) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// Is the server, if the arguments of this program say so; it is then ended by a signal. The first line of `main`.
pub(crate) fn serve_if_asked() {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [serve, port, model, loading] = &args[..]
        && serve == SERVE
        && let (Ok(port), Ok(loading)) = (port.parse(), loading.parse())
    {
        let failed = run(port, model, Duration::from_millis(loading));
        drop(writeln!(io::stderr(), "the port {port}: {failed:?}"));
        process::exit(1);
    }
}

/// Serves until the process is ended.
pub(crate) fn run(port: u16, model: &str, loading: Duration) -> io::Result<()> {
    let is_ready = Instant::now() + loading;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    loop {
        let (client, _) = listener.accept()?;
        let model = model.to_owned();
        // A client that hangs up in the middle is no matter.
        thread::spawn(move || drop(serve(&client, &model, is_ready)));
    }
}

/// How many requests there were, probes included.
static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// One request for each connection.
fn serve(client: &TcpStream, model: &str, is_ready: Instant) -> io::Result<()> {
    let (asked, body) = read_request(BufReader::new(client))?;
    let requests = REQUESTS.fetch_add(1, Relaxed) + 1;
    let now = Instant::now();
    let Some(ready_for) = now.checked_duration_since(is_ready) else {
        return answer(client, "503 Service Unavailable", &error("Loading model"));
    };
    match asked.as_str() {
        "GET /v1/models" => answer(client, "200 OK", &json!({ "data": [{ "id": model }] })),
        "GET /v1/facts" => {
            let facts = json!({
                "model": model,
                "pid": process::id(),
                "requests": requests,
                "readyForMs": ready_for.as_secs_f64() * 1e3,
            });
            answer(client, "200 OK", &facts)
        }
        "POST /v1/chat/completions" if body["stream"] == true => speak(client, model),
        "POST /v1/chat/completions" => {
            let message = json!({ "role": "assistant", "content": ANSWER });
            let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
            answer(
                client,
                "200 OK",
                &completion("chat.completion", model, &choice),
            )
        }
        _ => answer(client, "404 Not Found", &error("No such path")),
    }
}

/// Reads all of a request; returns its method and path, and its body if that is JSON.
fn read_request(mut client: impl BufRead) -> io::Result<(String, Value)> {
    let mut line = String::new();
    client.read_line(&mut line)?;
    let asked = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let mut length = 0;
    loop {
        line.clear();
        client.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            Some(_) => {}
            None => break,
        }
    }
    // What is left unread when a connection is closed makes the client lose the answer.
    let mut body = Vec::new();
    client.take(length).read_to_end(&mut body)?;
    Ok((asked, serde_json::from_slice(&body).unwrap_or_default()))
}

fn answer(mut client: &TcpStream, status: &str, body: &Value) -> io::Result<()> {
    let body = body.to_string();
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
}

/// The answer as server-sent events, one for each token.
fn speak(mut client: &TcpStream, model: &str) -> io::Result<()> {
    write!(
        client,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )?;
    for token in ANSWER.split_inclusive(' ') {
        thread::sleep(THINKING);
        let choice = json!({ "index": 0, "delta": { "content": token }, "finish_reason": null });
        let event = completion("chat.completion.chunk", model, &choice);
        chunk(client, &format!("data: {event}\n\n"))?;
    }
    chunk(client, "data: [DONE]\n\n")?;
    chunk(client, "")
}

/// What SDKs expect around a choice.
fn completion(object: &str, model: &str, choice: &Value) -> Value {
    json!({ "id": "chat", "object": object, "created": 0, "model": model, "choices": [choice] })
}

fn chunk(mut client: &TcpStream, data: &str) -> io::Result<()> {
    write!(client, "{:x}\r\n{data}\r\n", data.len())
}

fn error(message: &str) -> Value {
    json!({ "error": { "message": message } })
}
