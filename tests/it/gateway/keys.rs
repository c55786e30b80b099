//! `--api-key-file`: who may use the gateway.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use http::{Method, Request};
use http_body_util::Full;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{
    Fixture, eventually,
    gateway::{ConfigFile, Gateway, Reply, file, program, provider},
};

const KEY: &str = "sk-the-first-key";
const SECOND: &str = "sk-the-second-key";

/// A gateway with these keys, which are in a file of its own folder.
fn start(fixture: &Fixture, keys: &str, args: &[&str]) -> Gateway {
    let config = ConfigFile::new(file(&json!({ "one": provider(fixture) })));
    let keys = write(&config, keys);
    Gateway::run(config, &[&["--api-key-file", &*keys], args].concat())
}

fn write(config: &ConfigFile, keys: &str) -> String {
    let path = config.path().with_file_name("keys");
    fs::write(&path, keys).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn send(gateway: &Gateway, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::builder().method(method).uri(gateway.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = json!({ "model": "one/m" }).to_string();
    let request = request.body(Full::from(body)).unwrap();
    gateway.reply_to(request).await
}

#[tokio::test]
async fn a_request_without_a_key_is_refused_and_starts_nothing() {
    let fixture = Fixture::new();
    let gateway = start(&fixture, &format!("{KEY}\n"), &[]);
    let longer = format!("Bearer {KEY}0");
    let plain = format!("Basic {KEY}");
    for (method, path) in [
        (Method::POST, "/v1/hello"),
        (Method::GET, "/v1/models"),
        (Method::GET, "/admin/status"),
        (Method::POST, "/admin/one/start"),
        (Method::POST, "/admin/stop"),
        (Method::GET, "/no/such/path"),
        (Method::GET, "/health/"),
    ] {
        for headers in [
            &[][..],
            &[("authorization", "Bearer ")],
            &[("authorization", "Bearer sk-the-first-ke")],
            &[("authorization", &longer)],
            &[("authorization", &plain)],
            &[("x-api-key", "sk-another")],
        ] {
            let reply = send(&gateway, method.clone(), path, headers).await;
            assert_eq!(reply.failure(), (401, "invalid_api_key".into()), "{path}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
            assert!(!reply.body.contains(KEY), "{}", reply.body);
        }
    }
    assert_eq!(gateway.get("/health").await.status, 200);
    assert!(fixture.starts().is_empty());
}

#[tokio::test]
async fn each_key_of_the_file_is_good_wherever_clients_send_it_and_goes_no_further() {
    let fixture = Fixture::new();
    let gateway = start(&fixture, &format!("{KEY}\r\n\n  {SECOND}\n"), &[]);
    for key in [KEY, SECOND] {
        for (name, value) in [
            ("authorization", format!("Bearer {key}")),
            ("authorization", format!("bearer {key}")),
            ("x-api-key", key.to_owned()),
            ("api-key", key.to_owned()),
        ] {
            let reply = send(&gateway, Method::POST, "/v1/headers", &[(name, &*value)]).await;
            assert_eq!(reply.status, 200, "{name}");
            assert!(!reply.body.contains(key), "{}", reply.body);
        }
    }
    let log = gateway.log();
    assert!(!log.contains(KEY) && !log.contains(SECOND), "{log}");
    // The command to try reads the file.
    assert!(log.contains("authorization: Bearer $(head -n 1"), "{log}");
}

/// Browsers ask without a key whether they may send one, and pages read why they were refused.
#[tokio::test]
async fn a_page_that_is_allowed_may_send_a_key() {
    let fixture = Fixture::new();
    let page = "app://obsidian.md";
    let gateway = start(&fixture, KEY, &["--allow-origin", page]);
    let asks = [
        ("origin", page),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    let allowed = send(&gateway, Method::OPTIONS, "/v1/hello", &asks).await;
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("authorization")
    );
    let refused = send(&gateway, Method::POST, "/v1/hello", &asks[..1]).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some(page));
}

#[tokio::test]
async fn a_hang_up_reads_the_keys_again() {
    let fixture = Fixture::new();
    let gateway = start(&fixture, KEY, &[]);
    let status = async |key: &str| {
        let value = format!("Bearer {key}");
        let headers = [("authorization", &*value)];
        send(&gateway, Method::GET, "/v1/models", &headers)
            .await
            .status
            .as_u16()
    };
    assert_eq!((status(KEY).await, status(SECOND).await), (200, 401));
    write(gateway.file(), SECOND);
    gateway.signal(Signal::HUP);
    eventually("they are read", || {
        gateway.log().contains("keys read again")
    })
    .await;
    assert_eq!((status(KEY).await, status(SECOND).await), (401, 200));
    write(gateway.file(), "");
    gateway.signal(Signal::HUP);
    eventually("it is refused", || gateway.log().contains("keys stay")).await;
    assert_eq!((status(KEY).await, status(SECOND).await), (401, 200));
}

/// What it says, with code 1.
fn refused(config: &ConfigFile, args: &[&str]) -> String {
    let output = Command::new(program())
        .arg("--config")
        .arg(config.path())
        .args(args)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_file_of_keys_that_cannot_be_used_is_reported_without_its_content() {
    let config = ConfigFile::new("{}");
    let missing = refused(&config, &["--api-key-file", "/nowhere/keys"]);
    assert!(
        missing.contains("/nowhere/keys") && missing.contains("--api-key-file"),
        "{missing}"
    );
    for (content, says) in [
        ("\n \n", "has no key"),
        ("sk-two words", "ASCII"),
        ("sk-ü", "ASCII"),
    ] {
        let keys = write(&config, content);
        for args in [
            &["--api-key-file", &*keys][..],
            &["--check", "--api-key-file", &keys],
        ] {
            let error = refused(&config, args);
            assert!(error.contains(says) && error.contains(&keys), "{error}");
            assert!(!error.contains("sk-"), "{error}");
        }
    }
}

#[test]
fn a_file_of_keys_that_every_user_can_read_is_a_warning() {
    let config = ConfigFile::new("{}");
    let keys = write(&config, KEY);
    let check = || {
        let output = Command::new(program())
            .args(["--check", "--api-key-file", &keys, "--config"])
            .arg(config.path())
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    assert!(!check().contains("chmod"), "{}", check());
    fs::set_permissions(Path::new(&keys), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(check().contains("chmod o-r"), "{}", check());
}

/// The port is taken, so that nothing of the test is open to other machines.
#[test]
fn beyond_this_machine_it_needs_keys_or_to_be_told_that_it_needs_none() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("0.0.0.0:{}", taken.local_addr().unwrap().port());
    let config = ConfigFile::new("{}");
    let keys = write(&config, KEY);
    let error = refused(&config, &["--listen", &address]);
    for part in ["other machines", "--api-key-file", "--no-api-key"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert!(!error.contains("in use"), "{error}");
    if cfg!(target_os = "linux") {
        for args in [&["--no-api-key"][..], &["--api-key-file", &keys]] {
            let error = refused(&config, &[&["--listen", &*address], args].concat());
            assert!(error.contains("in use"), "{error}");
        }
    }
}
