//! P13: an idle server is stopped, and no request fails that comes at that moment.

use std::time::Duration;

use tower_local_service::{LocalService, Phase};

use crate::support::{Fixture, PATIENCE, amount, ask, eventually, is_alive, ms, now, send};

#[cfg_attr(windows, ignore = "a server that is ended by its job notes no signal")]
#[tokio::test]
async fn it_is_stopped_when_its_idle_time_is_over_and_not_before() {
    let fixture = Fixture::new().notes_signals();
    let service = fixture.configured("idle", fixture.config().idle_stop(ms(400)));
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let idle_since = now();
    fixture.is_gone().await;
    let idle = fixture.terms()[0].saturating_sub(idle_since);
    assert!(ms(350) <= idle && idle < ms(1500), "{idle:?}");
    eventually("stopped", || service.status().phase == Phase::Stopped).await;
    ask(&service, &fixture.url("/hello")).await.unwrap();
    assert_eq!(fixture.starts().len(), 2);
}

#[tokio::test]
async fn each_request_restarts_the_idle_time() {
    let fixture = Fixture::new();
    let service = fixture.configured("used", fixture.config().idle_stop(ms(600)));
    for _ in 0..10 {
        ask(&service, &fixture.url("/hello")).await.unwrap();
        tokio::time::sleep(ms(100)).await;
    }
    assert_eq!(fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_still_read_keeps_it_running() {
    let fixture = Fixture::new();
    let service = fixture.configured("streams", fixture.config().idle_stop(ms(20)));
    let url = fixture.url("/stream?chunks=3&gap_ms=100");
    let response = send(&service, &url, PATIENCE).await.unwrap();
    tokio::time::sleep(ms(400)).await;
    assert!(is_alive(fixture.starts()[0]));
    assert_eq!(service.status().leases, 1);
    assert!(service.status().idle_for.is_none());
    drop(response);
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_preloaded_server_that_is_not_used_is_stopped() {
    let fixture = Fixture::new();
    let service = fixture.configured("preloaded", fixture.config().idle_stop(ms(100)));
    service.start().await.unwrap();
    assert_eq!(service.status().leases, 0);
    fixture.is_gone().await;
}

#[tokio::test]
async fn without_an_idle_time_it_is_not_stopped() {
    let fixture = Fixture::new();
    let service = fixture.configured("kept", fixture.config().idle_stop(Duration::ZERO));
    ask(&service, &fixture.url("/hello")).await.unwrap();
    tokio::time::sleep(ms(300)).await;
    assert!(is_alive(fixture.starts()[0]));
}

/// Sends requests with pauses around the idle time: each finds the server before, during or after a stop. The
/// longest pause is that power of two in microseconds.
async fn aim_at_the_edge(
    service: &LocalService,
    url: &str,
    seed: u64,
    requests: usize,
    longest: u32,
) {
    let mut random = seed;
    for _ in 0..requests {
        let (_, body) = ask(service, url).await.expect("it never fails");
        assert_eq!(body, "hello");
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        tokio::time::sleep(Duration::from_micros(random >> (64 - longest))).await;
    }
}

#[tokio::test]
async fn no_request_fails_at_the_edge_of_the_idle_time() {
    let fixture = Fixture::new();
    let service = fixture.configured("edge", fixture.config().idle_stop(ms(2)));
    let url = fixture.url("/hello");
    aim_at_the_edge(&service, &url, 1, amount("EDGE_REQUESTS", 150), 12).await;
    let starts = fixture.starts().len();
    assert!(starts > 3, "the edge was met: {starts} starts");
}

#[tokio::test]
async fn no_request_fails_at_the_edge_where_several_clients_meet() {
    let fixture = Fixture::new();
    let service = fixture.configured("edges", fixture.config().idle_stop(ms(1)));
    let url = fixture.url("/hello");
    tokio::join!(
        aim_at_the_edge(&service, &url, 2, 40, 15),
        aim_at_the_edge(&service, &url, 3, 40, 15),
        aim_at_the_edge(&service, &url, 4, 40, 15),
    );
    assert!(fixture.starts().len() > 3);
}

/// Uses the server as a program does that knows nothing of this crate.
#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
async fn read_directly(fixture: &Fixture, path: &str) -> String {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    let mut connection = TcpStream::connect(("127.0.0.1", fixture.port()))
        .await
        .unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    response
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn a_program_that_uses_it_directly_keeps_it_running() {
    let fixture = Fixture::new();
    let service = fixture.configured("direct", fixture.config().idle_stop(ms(800)));
    ask(&service, &fixture.url("/hello")).await.unwrap();
    // Each pause is much shorter than the idle time, and all of them are much longer.
    let whole = read_directly(&fixture, "/stream?chunks=20&gap_ms=150").await;
    assert!(whole.contains("chunk 19\n"), "{whole}");
    assert!(is_alive(fixture.starts()[0]));
    fixture.is_gone().await;
    assert_eq!(fixture.starts().len(), 1);
}

#[cfg(all(target_os = "linux", not(tower_local_service_portable)))]
#[tokio::test]
async fn a_connection_that_nothing_is_sent_over_does_not_keep_it_running() {
    let fixture = Fixture::new();
    let service = fixture.configured("open", fixture.config().idle_stop(ms(200)));
    ask(&service, &fixture.url("/hello")).await.unwrap();
    let _open = tokio::net::TcpStream::connect(("127.0.0.1", fixture.port()))
        .await
        .unwrap();
    fixture.is_gone().await;
}
