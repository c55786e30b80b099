//! Many clients at once, slow ones, and those that send nonsense: no error, and no growth.

#[cfg(target_os = "linux")]
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
#[cfg(target_os = "linux")]
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio::{task::JoinSet, time::Instant};
use tower_local_service::BoxError;

use crate::support::{
    Fixture, amount,
    gateway::{Gateway, chat_provider},
};
#[cfg(target_os = "linux")]
use crate::support::{eventually, gateway::provider, within};

const CONNECTIONS: usize = 64;

/// How much more memory there may be after requests that came before. A KiB that each leaves is more, where there are ten
/// thousand, as in `.ci/long`.
#[cfg(target_os = "linux")]
const GROWTH: u64 = 8 << 20;

/// What the gateway has in memory.
#[cfg(target_os = "linux")]
fn memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[track_caller]
fn assert_no_growth(gateway: &Gateway, before: u64) {
    let grown = memory(gateway).saturating_sub(before);
    assert!(grown < GROWTH, "{grown} more bytes");
}

/// How many files and connections the gateway has open.
#[cfg(target_os = "linux")]
fn open_files(gateway: &Gateway) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", gateway.pid()));
    files.unwrap().count()
}

fn duration() -> Duration {
    let seconds = amount("GATEWAY_LOAD_SECONDS", 2);
    Duration::from_secs(seconds.try_into().expect("few"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_connections_are_served_without_an_error_or_growth() {
    let fixture = Fixture::new().with("--tokens", 3).with("--token-gap", 1);
    let gateway = Gateway::start(&json!({ "one": chat_provider(&fixture) }));
    // What as many connections need that come first is no growth.
    load(&gateway, duration() / 2).await;
    #[cfg(target_os = "linux")]
    let before = memory(&gateway);
    load(&gateway, duration()).await;
    #[cfg(target_os = "linux")]
    assert_no_growth(&gateway, before);
    assert_eq!(fixture.starts().len(), 1);
    let status = gateway.until("one", |status| status["leases"] == 0).await;
    assert_eq!(status["waiters"], 0);
}

/// Sends requests over as many connections, one after the other on each.
async fn load(gateway: &Gateway, duration: Duration) {
    let until = Instant::now() + duration;
    let mut senders = JoinSet::new();
    for n in 0..CONNECTIONS {
        let url = gateway.url("/v1/chat/completions");
        let ask = json!({ "messages": [], "stream": n % 2 == 0, "model": "one/m" }).to_string();
        senders.spawn(async move {
            // One connection, which is kept.
            let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
            let mut served = 0;
            while Instant::now() < until {
                let request = Request::post(&url).body(Full::from(ask.clone()))?;
                let response = client.request(request).await?;
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                let is_whole = body.ends_with(b"[DONE]\n\n") || body.ends_with(b"}");
                if status != 200 || !is_whole {
                    return Err(format!("{status} after {served}: {body:?}").into());
                }
                served += 1;
            }
            Ok::<_, BoxError>(served)
        });
    }
    let mut served = 0;
    while let Some(sender) = senders.join_next().await {
        served += sender.unwrap().expect("no request fails");
    }
    assert!(served >= CONNECTIONS, "{served}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_at_once_are_whole_and_leave_nothing() {
    const ROUNDS: usize = 5;
    let streams = amount("GATEWAY_STREAMS", 100);
    let fixture = Fixture::new().with("--tokens", 20).with("--token-gap", 20);
    let gateway = Arc::new(Gateway::start(&json!({ "one": chat_provider(&fixture) })));
    gateway.post("/admin/one/start", "").await;
    let before = open_files(&gateway);
    // What as many streams need that come first is no growth. How much that is varies: not all are open at once.
    for _ in 0..ROUNDS {
        stream(&gateway, streams).await;
    }
    let memory_before = memory(&gateway);
    for _ in 0..ROUNDS {
        stream(&gateway, streams).await;
    }
    assert_no_growth(&gateway, memory_before);
    gateway.until("one", |status| status["leases"] == 0).await;
    // Connections to the server are kept for some seconds.
    eventually("all connections are closed", || {
        open_files(&gateway) <= before + 2
    })
    .await;
}

/// Reads so many streams at once.
#[cfg(target_os = "linux")]
async fn stream(gateway: &Arc<Gateway>, streams: usize) {
    let mut asked = JoinSet::new();
    for _ in 0..streams {
        let gateway = gateway.clone();
        asked.spawn(async move {
            let ask = json!({ "model": "one/m", "stream": true });
            gateway.ask("/v1/chat/completions", &ask).await
        });
    }
    for reply in asked.join_all().await {
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.body.ends_with("[DONE]\n\n"), "{reply:?}");
        // The first has the role, the last the reason of the end.
        assert!(reply.body.matches("data: ").count() >= 20, "{reply:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_reads_slowly_costs_no_memory_and_no_other_client_time() {
    const LENGTH: usize = 64 << 20;
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    gateway.post("/admin/one/start", "").await;
    let before = memory(&gateway);
    let mut slow = TcpStream::connect(gateway.address()).await.unwrap();
    let body = r#"{"model":"one/m"}"#;
    let request = format!(
        "POST /v1/bytes?n={LENGTH} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    slow.write_all(request.as_bytes()).await.unwrap();
    for _ in 0..20 {
        within("a byte", slow.read_u8()).await.unwrap();
        let hello = gateway.ask("/v1/hello", &json!({ "model": "one/m" })).await;
        assert_eq!(hello.body, "hello");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_no_growth(&gateway, before);
    assert_eq!(gateway.status("one").await["leases"], 1);
    drop(slow);
    gateway.until("one", |status| status["leases"] == 0).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nonsense_is_answered_and_leaves_nothing() {
    const NONSENSE: [&[u8]; 8] = [
        b"\0\x01\x02\xff\xfe\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\n{{{",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999\r\n\r\n{",
        b"GET /../../etc/passwd HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnonsense in frames that are none",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 as TLS begins",
        b"",
    ];
    let requests = amount("GATEWAY_NONSENSE", 300);
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let send = async |count: usize| {
        for n in 0..count {
            let mut stream = TcpStream::connect(gateway.address()).await.unwrap();
            stream
                .write_all(NONSENSE[n % NONSENSE.len()])
                .await
                .unwrap();
            stream.shutdown().await.unwrap();
            // An answer or none: what matters is that it comes to an end.
            let mut answer = Vec::new();
            drop(within("an end", stream.read_to_end(&mut answer)).await);
            let status = answer.get(9..10);
            assert!(!matches!(status, Some(b"2" | b"5")), "{n}: {answer:?}");
        }
    };
    // What the first ones need is no growth.
    send(200).await;
    let (memory_before, files) = (memory(&gateway), open_files(&gateway));
    send(requests).await;
    eventually("all connections are closed", || {
        open_files(&gateway) <= files + 2
    })
    .await;
    assert_no_growth(&gateway, memory_before);
    let hello = gateway.ask("/v1/hello", &json!({ "model": "one/m" })).await;
    assert_eq!(hello.body, "hello");
}
