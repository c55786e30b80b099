//! R12: a port that the crate chooses, where the base URL has `${port}`.

use std::net::TcpListener;

use tower_local_service::{ErrorKind, LocalService, LocalServiceConfig, Registry};

use crate::support::{Fixture, SEES_LISTENERS, ask, is_alive, within};

const URL: &str = "http://127.0.0.1:${port}/v1";

/// The fixture of this test, on a port that it does not know.
fn config(fixture: &Fixture) -> LocalServiceConfig {
    let args = fixture.args().iter();
    let args = args.map(|arg| {
        if *arg == fixture.port().to_string() {
            "${port}".to_owned()
        } else {
            arg.clone()
        }
    });
    LocalServiceConfig::new(crate::support::PROGRAM)
        .args(args)
        .env("SEEN_PORT", "port ${port}")
        .health_url("http://localhost:${port}/v1/models")
}

fn service(fixture: &Fixture) -> LocalService {
    Registry::new()
        .service("any", URL, config(fixture))
        .unwrap()
}

fn port(service: &LocalService) -> u16 {
    service.base_url().port_u16().unwrap()
}

#[tokio::test]
async fn the_port_is_filled_in_wherever_it_is_written() {
    let fixture = Fixture::new().with("--print-env", "SEEN_PORT");
    let service = service(&fixture);
    let port = port(&service);
    assert!((20_000..30_000).contains(&port), "{port}");
    let url = format!("http://127.0.0.1:{port}/hello");
    assert_eq!(ask(&service, &url).await.unwrap().1, "hello");
    // The health URL is another spelling of the same port, and the process has it in its environment.
    let seen = format!("SEEN_PORT=port {port}");
    let mut output = service.output();
    let says = async { while output.next().await.text != seen {} };
    within("what it sees of its environment", says).await;
}

#[tokio::test]
async fn the_same_configuration_is_one_process_and_another_one_has_another_port() {
    let fixture = Fixture::new();
    let (one, again) = (service(&fixture), service(&fixture));
    let other = Registry::new()
        .service("other", URL, config(&fixture).env("OTHER", "1"))
        .unwrap();
    assert_eq!(port(&one), port(&again));
    assert_ne!(port(&one), port(&other));
    let leases = [&one, &again, &other].map(LocalService::acquire);
    for lease in leases {
        within("the lease", lease).await.unwrap();
    }
    let starts = fixture.starts();
    assert_eq!(starts.len(), 2);
    assert!(starts.iter().all(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn a_program_that_has_the_port_at_the_start_is_named_and_the_url_stays() {
    let fixture = Fixture::new();
    let service = service(&fixture);
    let url = service.base_url().clone();
    let listener = TcpListener::bind(("127.0.0.1", port(&service))).unwrap();
    // It listens until the error has named it.
    let listens = listener.try_clone().unwrap();
    let answers = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 1024]).unwrap();
        let head = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(head).unwrap();
    });
    let error = within("the error", service.acquire()).await.unwrap_err();
    answers.join().unwrap();
    drop(listens);
    let ErrorKind::AddressInUse { by, .. } = error.kind() else {
        panic!("{error}");
    };
    let answered = "answers the health URL with status 404";
    assert!(by.contains(answered), "{by}");
    if SEES_LISTENERS {
        // This program listens there itself.
        let pid = format!("pid {}", std::process::id());
        assert!(by.contains(&pid), "{by}");
    }
    let remedy = "end it, or write a port in the place of `${port}`";
    assert!(error.hint().contains(remedy), "{}", error.hint());
    assert_eq!(*service.base_url(), url);
    within("the port is free again", service.acquire())
        .await
        .unwrap();
}

#[test]
fn without_a_port_to_choose_nothing_is_filled_in() {
    let fixture = Fixture::new();
    let config = fixture.config().args(["${port}"]);
    let service = fixture.configured("fixed", config);
    assert_eq!(port(&service), fixture.port());
    let nowhere = fixture
        .config()
        .health_url("http://127.0.0.1:${port}/health");
    let error = fixture.try_configured("half", nowhere).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::InvalidConfig { .. }));
}
