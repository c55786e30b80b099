//! A connection that stops being HTTP keeps its lease beside the socket.

use std::time::Duration;

use http::{Method, StatusCode, header};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
    rt::Executor as _,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tower::Service;
use tower_local_service::{BoxError, Lease, LocalService};

use crate::{
    clients::{Request, ensured, hyper_client, send},
    support::{Fixture, eventually, within},
};

const IDLE: Duration = Duration::from_millis(150);

/// hyper without a pool around it: one connection for one request.
fn connection_to(
    port: u16,
) -> impl Service<
    Request,
    Response = http::Response<Incoming>,
    Error = BoxError,
    Future: Future<Output = Result<http::Response<Incoming>, BoxError>>,
> + Clone {
    tower::service_fn(move |request: Request| async move {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        TokioExecutor::new().execute(connection.with_upgrades());
        Ok(sender.send_request(request).await?)
    })
}

fn idle_soon() -> (Fixture, LocalService) {
    let fixture = Fixture::new();
    let config = fixture.config().idle_stop(IDLE);
    let service = fixture.configured("upgrades", config);
    (fixture, service)
}

fn upgrade(url: &str) -> Request {
    let request = http::Request::get(url)
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "echo");
    request.body(Full::<Bytes>::default()).unwrap()
}

async fn assert_echoes(socket: &mut TokioIo<Upgraded>, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut echo = vec![0; text.len()];
    let read = within("an echo", socket.read_exact(&mut echo)).await;
    read.expect("the server lives");
    assert_eq!(echo, text.as_bytes());
}

/// The socket works for many idle times, as long as its lease is kept, and no longer.
async fn assert_keeps_its_server<B>(
    mut response: http::Response<B>,
    service: &LocalService,
    fixture: &Fixture,
) {
    let lease = response
        .extensions()
        .get::<Lease>()
        .expect("a lease")
        .clone();
    let upgraded = within("an upgrade", hyper::upgrade::on(&mut response)).await;
    let mut socket = TokioIo::new(upgraded.unwrap());
    drop(response);
    assert_eq!(service.status().leases, 1);
    for n in 0..6 {
        assert_echoes(&mut socket, &format!("echo {n}")).await;
        tokio::time::sleep(IDLE).await;
    }
    assert_echoes(&mut socket, "still there").await;
    assert_eq!(fixture.starts().len(), 1);
    drop(lease);
    eventually("it is stopped once the lease is gone", || {
        fixture.alive().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_101_carries_its_lease_over_hyper() {
    let (fixture, service) = idle_soon();
    let client = ensured(&service, connection_to(fixture.port()));
    let response = send(&client, upgrade("/upgrade")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_keeps_its_server(response, &service, &fixture).await;
}

#[tokio::test]
async fn a_101_carries_its_lease_over_a_pooled_client() {
    let (fixture, service) = idle_soon();
    let client = ensured(&service, hyper_client());
    let response = send(&client, upgrade(&fixture.url("/upgrade")))
        .await
        .unwrap();
    assert_keeps_its_server(response, &service, &fixture).await;
}

#[tokio::test]
async fn a_successful_connect_carries_its_lease() {
    let (fixture, service) = idle_soon();
    let client = ensured(&service, connection_to(fixture.port()));
    let connect = http::Request::builder().method(Method::CONNECT);
    let connect = connect.uri("far.away.test:443").body(Full::default());
    let response = send(&client, connect.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_keeps_its_server(response, &service, &fixture).await;
}

#[tokio::test]
async fn an_upgrade_that_is_dropped_with_its_lease_lets_go() {
    let (fixture, service) = idle_soon();
    let client = ensured(&service, connection_to(fixture.port()));
    let response = send(&client, upgrade("/upgrade")).await.unwrap();
    assert_eq!(service.status().leases, 1);
    drop(response);
    assert_eq!(service.status().leases, 0);
}
