//! Whatever a server does, a probe ends in time and takes little memory.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use tokio::{runtime, time::Instant};

use super::{LONG, SHORT, Sight, V4, look, target};

/// What is written without end goes through here, and none of it is kept: a head that is taken to its
/// limit, and what hyper reads ahead.
const MOST_MEMORY: u64 = 256 * 1024;

/// What a server does once it has read the request.
enum Then {
    /// Nothing any more.
    Hangs,
    /// The same again and again, with a pause between.
    Repeats(&'static [u8], Duration),
    Closes,
}

use Then::{Closes, Hangs, Repeats};

const AT_ONCE: Duration = Duration::ZERO;
const SLOWLY: Duration = Duration::from_millis(20);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

/// Name, first words, what follows, what the probe sees.
#[rustfmt::skip]
const FAULTS: [(&str, &[u8], Then, Sight); 19] = [
    ("hangs", b"", Hangs, Sight::Silent),
    ("hangs amid the head", b"HTTP/1.1 200 OK\r\nA: b\r\n", Hangs, Sight::Silent),
    ("trickles its head", b"HTTP/1.1 200 OK\r\nA: ", Repeats(b"a", SLOWLY), Sight::Silent),
    ("trickles headers", b"HTTP/1.1 200 OK\r\n", Repeats(b"A: b\r\n", SLOWLY), Sight::Silent),
    ("trickles 1xx", b"", Repeats(b"HTTP/1.1 102 Processing\r\n\r\n", SLOWLY), Sight::Silent),
    ("floods with 1xx", b"", Repeats(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", AT_ONCE), Sight::Broken),
    ("one endless header", b"HTTP/1.1 200 OK\r\nA: ", Repeats(&[b'a'; 4096], AT_ONCE), Sight::Garbled),
    ("headers without end", b"HTTP/1.1 200 OK\r\n", Repeats(b"A: b\r\n", AT_ONCE), Sight::Garbled),
    ("an endless reason", b"HTTP/1.1 200 ", Repeats(&[b'O'; 4096], AT_ONCE), Sight::Garbled),
    ("an endless body", OK, Repeats(&[b'a'; 4096], AT_ONCE), Sight::Wanted),
    ("chunks without end", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Repeats(b"1\r\na\r\n", AT_ONCE), Sight::Wanted),
    ("a body that never comes", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", Hangs, Sight::Wanted),
    ("redirects", b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n", Closes, Sight::Status(302)),
    ("switches protocols", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Repeats(&[0; 4096], AT_ONCE), Sight::Status(101)),
    ("an odd status", b"HTTP/1.1 999 What\r\n\r\n", Hangs, Sight::Status(999)),
    ("garbage without end", b"", Repeats(&[0xfe; 4096], AT_ONCE), Sight::Garbled),
    ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46", Hangs, Sight::Garbled),
    ("HTTP/0.9", b"<html>", Repeats(b"<p>hello</p>\n", AT_ONCE), Sight::Garbled),
    ("closes without a word", b"", Closes, Sight::Broken),
];

/// One connection; it ends when the probe has gone.
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
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for (name, first, then, expected) in FAULTS {
        let listener = TcpListener::bind((V4, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || serve(listener.accept().unwrap().0, first, &then));

        let begun = Instant::now();
        let mut sight = None;
        let taken = allocation_counter::measure(|| {
            // What is told at once is told long before: a busy machine is not taken for silence.
            let limit = if expected == Sight::Silent {
                SHORT
            } else {
                LONG
            };
            sight = Some(runtime.block_on(look(&target(port, limit))));
        });

        assert_eq!(sight, Some(expected), "{name}");
        assert!(begun.elapsed() < LONG / 2, "{name}: {:?}", begun.elapsed());
        let most = taken.bytes_max;
        assert!(most < MOST_MEMORY, "{name}: {most} bytes");
        server.join().unwrap();
    }
}
