//! Whatever a server does, a probe ends in time and takes little memory.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use tokio::{runtime, time::Instant};

use super::{Answer, LONG, SHORT, V4, ask, target};

/// The longest head, and what hyper reads ahead. Nothing of a longer answer is kept.
const MOST_MEMORY: u64 = 256 * 1024;

/// What a server does once it has read the request.
enum Then {
    /// Keeps the connection open, and sends nothing more.
    Hangs,
    /// Sends the same bytes again and again, with a pause between.
    Repeats(&'static [u8], Duration),
    Closes,
}

use Then::{Closes, Hangs, Repeats};

const AT_ONCE: Duration = Duration::ZERO;
const SLOWLY: Duration = Duration::from_millis(20);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// What the server does, its first bytes, what follows, and the probe's answer.
#[rustfmt::skip]
const FAULTS: [(&str, &[u8], Then, Answer); 19] = [
    ("hangs", b"", Hangs, Answer::Silent),
    ("hangs amid the head", b"HTTP/1.1 200 OK\r\nA: b\r\n", Hangs, Answer::Silent),
    ("trickles its head", b"HTTP/1.1 200 OK\r\nA: ", Repeats(b"a", SLOWLY), Answer::Silent),
    ("trickles headers", b"HTTP/1.1 200 OK\r\n", Repeats(b"A: b\r\n", SLOWLY), Answer::Silent),
    ("trickles 1xx", b"", Repeats(b"HTTP/1.1 102 Processing\r\n\r\n", SLOWLY), Answer::Silent),
    ("floods with 1xx", b"", Repeats(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", AT_ONCE), Answer::Closed),
    ("one endless header", b"HTTP/1.1 200 OK\r\nA: ", Repeats(&[b'a'; 4096], AT_ONCE), Answer::NotHttp),
    ("headers without end", b"HTTP/1.1 200 OK\r\n", Repeats(b"A: b\r\n", AT_ONCE), Answer::NotHttp),
    ("an endless reason", b"HTTP/1.1 200 ", Repeats(&[b'O'; 4096], AT_ONCE), Answer::NotHttp),
    ("an endless body", OK, Repeats(&[b'a'; 4096], AT_ONCE), Answer::Ready),
    ("chunks without end", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Repeats(b"1\r\na\r\n", AT_ONCE), Answer::Ready),
    ("a body that never comes", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Hangs, Answer::Ready),
    ("redirects", b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n", Closes, Answer::Status(302)),
    ("switches protocols", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Repeats(&[0; 4096], AT_ONCE), Answer::Status(101)),
    ("an odd status", b"HTTP/1.1 999 What\r\n\r\n", Hangs, Answer::Status(999)),
    ("garbage without end", b"", Repeats(&[0xfe; 4096], AT_ONCE), Answer::NotHttp),
    ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46", Hangs, Answer::NotHttp),
    ("HTTP/0.9", b"<html>", Repeats(b"<p>hello</p>\n", AT_ONCE), Answer::NotHttp),
    ("closes without a word", b"", Closes, Answer::Closed),
];

/// Serves one connection, until the probe has closed it.
fn serve(mut stream: TcpStream, first: &[u8], then: &Then) {
    let mut head = [0; 1024];
    let read = stream.read(&mut head);
    if read.is_err() || stream.write_all(first).is_err() {
        return;
    }
    match then {
        Closes => {}
        Hangs => while matches!(stream.read(&mut head), Ok(1..)) {},
        Repeats(bytes, pause) => {
            while stream.write_all(bytes).is_ok() {
                thread::sleep(*pause);
            }
        }
    }
}

#[test]
fn whatever_a_server_does_a_probe_ends_in_time_and_takes_little_memory() {
    for (name, first, then, expected) in FAULTS {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let listener = TcpListener::bind((V4, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || serve(listener.accept().unwrap().0, first, &then));

        let begun = Instant::now();
        let mut answer = None;
        let taken = allocation_counter::measure(|| {
            // Only silence needs the deadline; the others have more time, since the machine may be busy.
            let limit = if expected == Answer::Silent {
                SHORT
            } else {
                LONG
            };
            answer = Some(runtime.block_on(ask(&target(port, limit))));
        });

        assert_eq!(answer, Some(expected), "{name}");
        assert!(begun.elapsed() < LONG / 2, "{name}: {:?}", begun.elapsed());
        let most = taken.bytes_max;
        assert!(most < MOST_MEMORY, "{name}: {most} bytes");
        // With the runtime goes what is left of the probe: the rest of a body that never ends.
        drop(runtime);
        server.join().unwrap();
    }
}
