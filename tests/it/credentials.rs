//! P6: a probe carries the configured headers, and a request's headers decide nothing.

use std::process::{Command, Stdio};

use tower_local_service::ErrorKind;

use crate::support::{Fixture, ask, block_on, get, ms, waiting, within};

const KEY: &str = "sk-of-the-tests";

fn bearer(key: &str) -> [(String, String); 1] {
    [("authorization".to_owned(), format!("Bearer {key}"))]
}

#[tokio::test]
async fn the_configured_headers_open_a_health_url_that_needs_them() {
    let fixture = Fixture::new().with("--api-key", KEY);
    let config = fixture.config().health_headers(bearer(KEY));
    let service = fixture.configured("keyed", config);
    drop(within("ready", service.acquire()).await.unwrap());
    // The request's own headers are not used for probes.
    assert_eq!(get(fixture.port(), "/hello").await.unwrap().status, 401);
}

#[tokio::test]
async fn a_wrong_key_of_one_handle_fails_that_handle_only() {
    let fixture = Fixture::new()
        .with("--api-key", KEY)
        .with("--delay-bind", 200);
    let wrong = fixture.config().health_headers(bearer("sk-wrong-wrong"));
    let right = fixture.config().health_headers(bearer(KEY));
    let (wrong, right) = (
        fixture.configured("wrong", wrong),
        fixture.configured("right", right),
    );
    let (refused, served) = (waiting(&wrong).await, waiting(&right).await);
    let (refused, served) = within("both", async { tokio::join!(refused, served) }).await;
    let lease = served.unwrap();
    match refused {
        Ok(lease) => drop(lease),
        Err(error) => assert!(matches!(
            error.kind(),
            ErrorKind::HealthRejected { status: 401, .. }
        )),
    }
    // It was the first to ask, and still nothing was stopped because of it.
    drop(wrong.acquire().await.unwrap());
    assert_eq!(fixture.starts().len(), 1);
    drop(lease);
}

#[tokio::test]
async fn a_request_with_a_wrong_key_says_nothing_about_the_service() {
    let fixture = Fixture::new().with("--api-key", KEY);
    let config = fixture.config().health_headers(bearer(KEY));
    let service = fixture.configured("keyed", config);
    for _ in 0..20 {
        let answer = ask(&service, &fixture.url("/hello")).await;
        assert_eq!(answer.unwrap().0, 401);
        tokio::time::sleep(ms(10)).await;
    }
    assert_eq!(fixture.starts().len(), 1);
}

/// The test below runs it with the environment of a machine behind a proxy.
#[test]
#[ignore = "plays a program with a proxy in its environment, for the test below"]
fn plays_a_program_behind_a_proxy() {
    let fixture = Fixture::new();
    let service = fixture.service("proxied");
    drop(block_on(service.acquire()).unwrap());
    assert!(!fixture.requests().is_empty());
}

#[test]
fn a_proxy_in_the_environment_is_not_asked() {
    // The proxy would answer every probe.
    let proxy = Fixture::new();
    let _running = proxy.run_outside();
    let url = proxy.url("");
    let mut program = Command::new(std::env::current_exe().unwrap());
    program
        .args([
            "--ignored",
            "--exact",
            "credentials::plays_a_program_behind_a_proxy",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        program.env(name, &url);
    }
    assert!(program.status().unwrap().success());
    assert!(proxy.requests().is_empty(), "{:?}", proxy.requests());
}
