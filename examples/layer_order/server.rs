//! A small server that takes a second to start.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process, thread,
    time::Duration,
};

/// From the start of the process to ready.
const COLD_START: Duration = Duration::from_secs(1);
/// How long an answer takes, so that requests that are sent together are on their way together.
const WORK: Duration = Duration::from_millis(50);

/// The server. It fails immediately if that file does not exist yet, and creates it.
pub(crate) fn cold(port: u16, fails_once: Option<&String>) -> io::Result<()> {
    if fails_once.is_some_and(|path| File::create_new(path).is_ok()) {
        process::exit(1);
    }
    thread::sleep(COLD_START);
    serve(&listen(port)?);
    Ok(())
}

pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

pub(crate) fn serve(listener: &TcpListener) {
    for stream in listener.incoming().flatten() {
        // A client that hangs up gets no answer.
        thread::spawn(move || answer(stream).ok());
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .for_each(drop);
    if !request.starts_with("GET /health ") {
        thread::sleep(WORK);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}
