//! A server with as much of the `OpenAI` API as this example asks for.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

/// How long it pretends to load a model.
const LOADING: Duration = Duration::from_millis(1500);
/// How long it pretends to think about a token.
const THINKING: Duration = Duration::from_millis(40);

const ANSWER: &str = "Nobody did, until you asked. Your request found no server here, started me as \
                      a process of its own, and waited until I was ready. Once nobody uses me any \
                      more, I am stopped.";

/// Serves until the process is ended.
pub(crate) fn run(port: u16) -> io::Result<()> {
    let begun = Instant::now();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    loop {
        let (client, _) = listener.accept()?;
        // A client that hangs up in the middle is no matter.
        thread::spawn(move || drop(serve(&client, begun)));
    }
}

/// One request for each connection.
fn serve(client: &TcpStream, begun: Instant) -> io::Result<()> {
    let asked = read_request(BufReader::new(client))?;
    if begun.elapsed() < LOADING {
        return answer(client, "503 Service Unavailable", &error("Loading model"));
    }
    match asked.as_str() {
        "GET /v1/models" => answer(
            client,
            "200 OK",
            &json!({ "data": [{ "id": "quickstart" }] }),
        ),
        "POST /v1/chat/completions" => speak(client),
        _ => answer(client, "404 Not Found", &error("No such path")),
    }
}

/// Reads all of a request; says its method and path.
fn read_request(mut client: impl BufRead) -> io::Result<String> {
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
    io::copy(&mut client.take(length), &mut io::sink())?;
    Ok(asked)
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
fn speak(mut client: &TcpStream) -> io::Result<()> {
    write!(
        client,
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )?;
    for token in ANSWER.split_inclusive(' ') {
        thread::sleep(THINKING);
        let event = json!({ "choices": [{ "index": 0, "delta": { "content": token } }] });
        chunk(client, &format!("data: {event}\n\n"))?;
    }
    chunk(client, "data: [DONE]\n\n")?;
    chunk(client, "")
}

fn chunk(mut client: &TcpStream, data: &str) -> io::Result<()> {
    write!(client, "{:x}\r\n{data}\r\n", data.len())
}

fn error(message: &str) -> Value {
    json!({ "error": { "message": message } })
}
