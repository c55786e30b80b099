//! Probes of servers with faults, over real sockets.

mod bounds;

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    thread,
};

use http::{HeaderMap, HeaderValue, Method};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::Handle,
    time::{Duration, Instant, sleep, timeout},
};

use super::{Answer, ask};
use crate::config::{Target, UrlHost};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// The deadline of a probe that should reach it.
const SHORT: Duration = Duration::from_millis(200);
/// The deadline of a probe that should not reach it.
const LONG: Duration = Duration::from_secs(20);

fn target(port: u16, timeout: Duration) -> Target {
    Target {
        sends_key: false,
        host: UrlHost::Address(V4),
        port,
        authority: format!("127.0.0.1:{port}"),
        path_and_query: "/v1/models".into(),
        method: Method::GET,
        headers: HeaderMap::new(),
        body: String::new(),
        ready_statuses: None,
        is_default: false,
        wants_body: false,
        base: None,
        timeout,
    }
}

/// A port that refuses connections, and that no other program can bind meanwhile.
fn closed_port(at: IpAddr, port: u16) -> std::io::Result<(TcpSocket, u16)> {
    let socket = if at.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.bind(SocketAddr::new(at, port))?;
    let port = socket.local_addr()?.port();
    Ok((socket, port))
}

/// The request's head as it was received.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.expect("a whole request head");
        head.push(byte);
    }
    String::from_utf8(head).unwrap()
}

async fn for_ever() {
    std::future::pending::<()>().await;
}

/// The answer of a server that does `serve` with its connection, and then closes it.
async fn answer_of(timeout: Duration, serve: impl AsyncFnOnce(TcpStream)) -> Answer {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let target = target(listener.local_addr().unwrap().port(), timeout);
    answer_to(&target, listener, serve).await
}

async fn answer_to(
    target: &Target,
    listener: TcpListener,
    serve: impl AsyncFnOnce(TcpStream),
) -> Answer {
    let server = async {
        serve(listener.accept().await.unwrap().0).await;
        for_ever().await;
    };
    tokio::select! {
        answer = ask(target) => answer,
        () = server => unreachable!(),
    }
}

/// The answer of a server that sends `bytes` and keeps the connection open.
async fn answer_of_bytes(bytes: impl AsRef<[u8]>) -> Answer {
    answer_of(LONG, async |mut stream| {
        read_head(&mut stream).await;
        // The probe may close before it has read everything.
        let _gone = stream.write_all(bytes.as_ref()).await;
        for_ever().await;
    })
    .await
}

/// The answer of a probe that reaches its deadline; fails if the probe ends early or late.
async fn answer_in_time(serve: impl AsyncFnOnce(TcpStream)) -> Answer {
    let start = Instant::now();
    let answer = answer_of(SHORT, serve).await;
    assert_gave_up_in_time(start);
    answer
}

fn assert_gave_up_in_time(start: Instant) {
    let took = start.elapsed();
    assert!(took >= SHORT, "gave up after {took:?}");
    assert!(took < LONG / 2, "gave up after {took:?}");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (_held, port) = closed_port(V4, 0).unwrap();
    assert_eq!(ask(&target(port, LONG)).await, Answer::Refused);
}

#[tokio::test]
async fn statuses_are_distinguished() {
    for (line, expected) in [
        ("200 OK", Answer::Ready),
        ("204 No Content", Answer::Ready),
        ("299 Fine", Answer::Ready),
        ("300 Multiple Choices", Answer::Status(300)),
        ("302 Found\r\nLocation: /elsewhere", Answer::Status(302)),
        ("304 Not Modified", Answer::Status(304)),
        ("401 Unauthorized", Answer::Status(401)),
        ("404 Not Found", Answer::Status(404)),
        ("502 Bad Gateway", Answer::Status(502)),
        ("503 Service Unavailable", Answer::Status(503)),
        ("999 What", Answer::Status(999)),
        ("101 Switching Protocols", Answer::Status(101)),
        (
            "101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x",
            Answer::Status(101),
        ),
        ("103 Early Hints\r\n\r\nHTTP/1.1 200 OK", Answer::Ready),
        (
            "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3",
            Answer::Ready,
        ),
    ] {
        let answer = format!("HTTP/1.1 {line}\r\n\r\n");
        assert_eq!(answer_of_bytes(answer).await, expected, "{line}");
    }
    let old = "HTTP/1.0 200 OK\r\n\r\n";
    assert_eq!(answer_of_bytes(old).await, Answer::Ready);
}

#[tokio::test]
async fn configured_statuses_replace_2xx() {
    for (status, expected) in [
        (204, Answer::Ready),
        (404, Answer::Ready),
        (200, Answer::Status(200)),
    ] {
        let listener = TcpListener::bind((V4, 0)).await.unwrap();
        let mut target = target(listener.local_addr().unwrap().port(), LONG);
        target.ready_statuses = Some(vec![204, 404]);
        let answer = answer_to(&target, listener, async |mut stream| {
            let answer = format!("HTTP/1.1 {status} X\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
            for_ever().await;
        })
        .await;
        assert_eq!(answer, expected, "{status}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_reported_as_such() {
    for (what, answer) in [
        ("an SSH banner", &b"SSH-2.0-OpenSSH_9.6\r\n"[..]),
        ("HTTP/0.9", b"<html><body>hello</body></html>\n"),
        ("a TLS alert", b"\x15\x03\x01\x00\x02\x02\x46"),
        ("HTTP/2 settings", b"\x00\x00\x06\x04\x00\x00\x00\x00\x00"),
        ("another version", b"HTTP/2.0 200 OK\r\n\r\n"),
        ("no number", b"HTTP/1.1 OK 200\r\n\r\n"),
        (
            "two lengths",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        ),
        ("zeros", &[0; 100]),
    ] {
        assert_eq!(answer_of_bytes(answer).await, Answer::NotHttp, "{what}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_not_http() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(200));
    assert_eq!(answer_of_bytes(many).await, Answer::NotHttp, "200 headers");

    let endless = answer_of(LONG, async |mut stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nA: ").await;
        while stream.write_all(&[b'a'; 4096]).await.is_ok() {}
    });
    assert_eq!(endless.await, Answer::NotHttp, "one endless header");
}

#[tokio::test]
async fn an_endless_body_is_not_read() {
    let mut sent = 0;
    let answer = answer_of(LONG, async |mut stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'a'; 4096]).await.is_ok() {
            sent += 4096;
        }
    })
    .await;
    assert_eq!(answer, Answer::Ready);
    // As much as fits into the buffers of two sockets, and far less than 20 s would bring.
    assert!(sent < 64 << 20, "{sent} bytes were taken");
}

#[tokio::test]
async fn a_connection_closed_before_a_head_is_closed() {
    let at_once = answer_of(LONG, async |stream| drop(stream)).await;
    assert_eq!(at_once, Answer::Closed, "at once");

    let after_the_request = answer_of(LONG, async |mut stream| {
        read_head(&mut stream).await;
    });
    assert_eq!(after_the_request.await, Answer::Closed, "after the request");

    let amid_the_head = answer_of(LONG, async |mut stream| {
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nA: b").await.unwrap();
    });
    assert_eq!(amid_the_head.await, Answer::Closed, "amid the head");
}

#[tokio::test]
async fn a_reset_connection_is_closed() {
    let at_once = answer_of(LONG, async |stream| stream.set_zero_linger().unwrap());
    assert_eq!(at_once.await, Answer::Closed, "at once");

    let after_the_request = answer_of(LONG, async |mut stream| {
        read_head(&mut stream).await;
        stream.set_zero_linger().unwrap();
    });
    assert_eq!(after_the_request.await, Answer::Closed, "after the request");
}

#[tokio::test]
async fn a_server_that_hangs_is_silent() {
    let mute = answer_in_time(async |_stream| for_ever().await);
    assert_eq!(mute.await, Answer::Silent);
}

#[tokio::test]
async fn a_trickle_is_silent() {
    let trickle = answer_in_time(async |mut stream| {
        for byte in b"HTTP/1.1 200 OK\r\n".iter().chain([b'a'; 900].iter()) {
            sleep(Duration::from_millis(20)).await;
            stream.write_all(&[*byte]).await.unwrap();
        }
    });
    assert_eq!(trickle.await, Answer::Silent);
}

#[tokio::test]
async fn a_server_that_never_accepts_is_silent() {
    let listener = std::net::TcpListener::bind((V4, 0)).unwrap();
    let start = Instant::now();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(ask(&target(port, SHORT)).await, Answer::Silent);
    assert_gave_up_in_time(start);
}

/// A server whose accept queue is full; `None` where the kernel always accepts another connection.
async fn full_queue() -> Option<(TcpListener, u16, Vec<TcpStream>)> {
    let (socket, port) = closed_port(V4, 0).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(SHORT, TcpStream::connect((V4, port))).await {
        queued.push(stream.unwrap());
        if queued.len() > 64 {
            return None;
        }
    }
    Some((listener, port, queued))
}

#[tokio::test]
async fn a_server_whose_queue_is_full_is_silent() {
    let Some((_listener, port, _queued)) = full_queue().await else {
        return;
    };
    let start = Instant::now();
    assert_eq!(ask(&target(port, SHORT)).await, Answer::Silent);
    assert_gave_up_in_time(start);
}

#[tokio::test]
async fn a_server_that_ends_before_it_has_room_is_refused() {
    let Some((listener, port, _queued)) = full_queue().await else {
        return;
    };
    let target = target(port, LONG);
    let mut asking = pin!(ask(&target));
    assert!(timeout(SHORT, &mut asking).await.is_err());
    drop(listener);
    // The kernel sends its SYN again after a second.
    assert_eq!(asking.await, Answer::Refused);
}

#[tokio::test]
async fn an_endless_flood_of_1xx_ends_the_probe_before_its_deadline() {
    let listener = std::net::TcpListener::bind((V4, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // On a thread of its own, so that it can write at any time.
    let flood = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2000);
        while stream.write_all(hints.as_bytes()).is_ok() {}
    });
    let start = Instant::now();
    assert_eq!(ask(&target(port, LONG)).await, Answer::Closed);
    assert!(start.elapsed() < LONG / 2, "{:?}", start.elapsed());
    flood.join().unwrap();
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind((V4, 0)).await.unwrap();
    let location = elsewhere.local_addr().unwrap();
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: http://{location}/\r\n\r\n");
    assert_eq!(answer_of_bytes(answer).await, Answer::Status(302));

    // Connections are accepted in order: if the probe had connected, its connection would be the first.
    let second = TcpStream::connect(location).await.unwrap();
    let (_, first) = elsewhere.accept().await.unwrap();
    assert_eq!(first, second.local_addr().unwrap());
}

/// The request that a probe sends, as sorted lines; and the port.
async fn request_of(change: impl FnOnce(&mut Target)) -> (Vec<String>, u16) {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut target = target(port, LONG);
    change(&mut target);

    let mut head = String::new();
    let answer = answer_to(&target, listener, async |mut stream| {
        head = read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        for_ever().await;
    });
    assert_eq!(answer.await, Answer::Ready);
    let mut lines: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
    lines[1..].sort();
    (lines, port)
}

#[tokio::test]
async fn a_plain_request_names_the_crate_and_nothing_else() {
    let (lines, port) = request_of(|target| {
        target.authority = format!("localhost:{}", target.port);
        target.path_and_query = "/health?deep=1".into();
    })
    .await;
    let agent = concat!(
        "user-agent: tower-local-service/",
        env!("CARGO_PKG_VERSION")
    );
    let host = format!("host: localhost:{port}");
    assert_eq!(
        lines,
        ["GET /health?deep=1 HTTP/1.1", "accept: */*", &host, agent]
    );
}

#[tokio::test]
async fn configured_headers_are_sent_and_win() {
    let (lines, _) = request_of(|target| {
        for (name, value) in [
            ("authorization", "Bearer sk-123"),
            ("host", "model.internal"),
            ("user-agent", "mine"),
            ("x-two", "1"),
            ("x-two", "2"),
        ] {
            target.headers.append(name, HeaderValue::from_static(value));
        }
    })
    .await;
    assert_eq!(
        lines,
        [
            "GET /v1/models HTTP/1.1",
            "accept: */*",
            "authorization: Bearer sk-123",
            "host: model.internal",
            "user-agent: mine",
            "x-two: 1",
            "x-two: 2",
        ]
    );
}

#[tokio::test]
async fn localhost_means_ipv4_first() {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut target = target(port, LONG);
    target.host = UrlHost::Localhost;
    // Where `::1` exists, the server there is not asked.
    let _other = TcpListener::bind((V6, port)).await;
    let answer = answer_to(&target, listener, async |mut stream| {
        let _gone = stream.write_all(b"HTTP/1.1 503 Busy\r\n\r\n").await;
        for_ever().await;
    });
    assert_eq!(answer.await, Answer::Status(503));
}

#[tokio::test]
async fn localhost_means_ipv6_where_ipv4_refuses() {
    let Ok(listener) = TcpListener::bind((V6, 0)).await else {
        return; // no IPv6 here
    };
    let port = listener.local_addr().unwrap().port();
    let Ok(_held) = closed_port(V4, port) else {
        return; // another program has that port
    };
    let mut target = target(port, LONG);
    target.host = UrlHost::Localhost;
    let answer = answer_to(&target, listener, async |mut stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        for_ever().await;
    });
    assert_eq!(answer.await, Answer::Ready);
}

#[tokio::test]
async fn localhost_refuses_where_both_do_or_ipv6_is_missing() {
    let (_held, port) = closed_port(V4, 0).unwrap();
    let mut target = target(port, LONG);
    target.host = UrlHost::Localhost;
    let _held = closed_port(V6, port);
    assert_eq!(ask(&target).await, Answer::Refused);
}

#[tokio::test]
async fn a_name_is_resolved() {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let mut target = target(listener.local_addr().unwrap().port(), LONG);
    target.host = UrlHost::Name("localhost".into());
    let answer = answer_to(&target, listener, async |mut stream| {
        let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        for_ever().await;
    });
    assert_eq!(answer.await, Answer::Ready);
}

#[tokio::test]
async fn an_unknown_name_is_silent() {
    let mut target = target(1, SHORT);
    // Longer than a label may be, so it fails without a resolver.
    target.host = UrlHost::Name("a".repeat(64));
    assert_eq!(ask(&target).await, Answer::Silent);
}

#[tokio::test]
async fn a_dropped_probe_closes_its_connection() {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let target = target(listener.local_addr().unwrap().port(), LONG);
    let asked = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream
    };
    let mut stream = tokio::select! {
        stream = asked => stream,
        answer = ask(&target) => unreachable!("the server sent nothing, but the answer is {answer:?}"),
    };

    let end = timeout(LONG / 2, stream.read_u8()).await;
    assert!(
        end.expect("closed at once").is_err(),
        "nothing more is sent"
    );
}

#[tokio::test]
async fn a_probe_closes_first_and_leaves_no_connection() {
    // The server reads the end of the connection, so `TIME_WAIT` is not on the server's port.
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let target = target(listener.local_addr().unwrap().port(), LONG);
    let answered = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        stream.read(&mut [0]).await
    };
    let (answer, end) = timeout(LONG, async { tokio::join!(ask(&target), answered) })
        .await
        .expect("the probe closes by itself");
    assert_eq!(answer, Answer::Ready);
    assert_eq!(end.unwrap(), 0, "an orderly end");
}

/// With sockets that are not bound first, this fails on Linux after some 10 000 probes.
#[tokio::test]
async fn probes_of_a_free_even_port_never_reach_themselves() {
    // The kernel prefers even ports for outgoing connections.
    let (held, port) = loop {
        let (_odd, port) = closed_port(V4, 0).unwrap();
        if let Ok(found) = closed_port(V4, port & !1) {
            break found;
        }
    };
    drop(held);
    let target = target(port, LONG);
    for n in 0..40_000 {
        assert_eq!(ask(&target).await, Answer::Refused, "probe {n} of {port}");
    }
}

/// A server that notices whether its client is gone before it has sent all of its body.
#[tokio::test]
async fn a_body_is_read_to_its_end_before_the_connection_is_closed() {
    let listener = TcpListener::bind((V4, 0)).await.unwrap();
    let target = target(listener.local_addr().unwrap().port(), LONG);
    let server = Handle::current().spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
            .await
            .unwrap();
        for _ in 0..8 {
            sleep(Duration::from_millis(20)).await;
            stream.write_all(b"x").await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let begun = Instant::now();
    assert_eq!(ask(&target).await, Answer::Ready);
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    timeout(LONG, server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_page_is_no_list_of_models() {
    let page = |head: &'static str, body: &'static str| {
        format!(
            "HTTP/1.1 200 OK\r\n{head}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    for (response, is_default, expected) in [
        (
            page("Content-Type: text/html; charset=utf-8\r\n", "hello"),
            true,
            Answer::Page,
        ),
        (page("Content-Type: TEXT/HTML\r\n", ""), true, Answer::Page),
        (
            page("", "\n<!DOCTYPE html><title>x</title>"),
            true,
            Answer::Page,
        ),
        (
            page("Content-Type: application/json\r\n", "{}"),
            true,
            Answer::Ready,
        ),
        (page("", "{}"), true, Answer::Ready),
        // A health URL that the user chose may be a page.
        (
            page("Content-Type: text/html\r\n", "ok"),
            false,
            Answer::Ready,
        ),
    ] {
        let listener = TcpListener::bind((V4, 0)).await.unwrap();
        let mut target = target(listener.local_addr().unwrap().port(), LONG);
        target.is_default = is_default;
        let answer = answer_to(&target, listener, async |mut stream| {
            read_head(&mut stream).await;
            stream.write_all(response.as_bytes()).await.unwrap();
        });
        assert_eq!(answer.await, expected, "{response}");
    }
}

#[tokio::test]
async fn a_server_is_ready_once_the_port_for_requests_accepts_connections_too() {
    let health = TcpListener::bind((V4, 0)).await.unwrap();
    let (held, port) = closed_port(V4, 0).unwrap();
    let mut target = target(health.local_addr().unwrap().port(), LONG);
    target.base = Some((UrlHost::Address(V4), port));
    let ready = Handle::current().spawn(async move {
        loop {
            let (mut stream, _) = health.accept().await.unwrap();
            read_head(&mut stream).await;
            let _gone = stream.write_all(b"HTTP/1.1 204 X\r\n\r\n").await;
        }
    });
    assert_eq!(ask(&target).await, Answer::NotAccepting(port));
    let _listener = held.listen(1).unwrap();
    assert_eq!(ask(&target).await, Answer::Ready);
    ready.abort();
}
