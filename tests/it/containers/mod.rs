//! L6: containers on a real engine, whose socket `ENGINE` names. Its image `tls-fixture:1` is the fixture.

mod engine_killed;
mod programs;
mod refusals;
mod room;

use std::{
    env, fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::Value;
use tokio::task::JoinSet;
use tower_local_service::{
    Amount, Error, ErrorKind, LocalService, LocalServiceConfig, Output, OutputStream, Ownership,
    Phase, Registry, docker::Container,
};

use crate::support::{Fixture, ask, eventually, free_port, ms, now, since, within};

const IMAGE: &str = "tls-fixture:1";

fn engine() -> String {
    env::var("ENGINE").expect("`ENGINE` names the socket of an engine")
}

/// What the engine answers, without its head.
fn answer(method: &str, path: &str) -> String {
    let mut stream = UnixStream::connect(engine()).expect("an engine");
    write!(stream, "{method} {path} HTTP/1.0\r\nhost: engine\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.split_once("\r\n\r\n")
        .map_or_else(String::new, |it| it.1.to_owned())
}

/// What the engine knows of a container; null if it has none of that name.
fn inspect(name: &str) -> Value {
    let found = answer("GET", &format!("/containers/{name}/json"));
    let found: Value = serde_json::from_str(&found).unwrap_or_default();
    if found["Id"].is_string() {
        found
    } else {
        Value::Null
    }
}

/// The names of the containers of this crate that are to be published at the port, whatever their state.
fn containers(port: u16) -> Vec<String> {
    let filters = "%7B%22label%22%3A%5B%22tower-local-service.identity%22%5D%7D";
    let text = answer("GET", &format!("/containers/json?all=1&filters={filters}"));
    let all: Value = serde_json::from_str(&text).unwrap();
    let names = all.as_array().expect("a list").iter().map(|it| {
        let name = it["Names"][0].as_str().unwrap();
        name.trim_start_matches('/').to_owned()
    });
    let published = port.to_string();
    let is_at_port = |name: &String| {
        let bindings = &inspect(name)["HostConfig"]["PortBindings"]["8080/tcp"];
        bindings[0]["HostPort"].as_str() == Some(published.as_str())
    };
    names.filter(is_at_port).collect()
}

/// A fixture in a container, with these arguments.
fn container(args: &[&str]) -> Container {
    let always = ["--port", "8080", "--host", "0.0.0.0", "--max-life", "90000"];
    // The first process of a container ends at TERM only if it handles it.
    let ends = ["--term-delay", "1"];
    Container::new(IMAGE)
        .args(always)
        .args(ends)
        .args(args.iter().copied())
        .port(8080)
        .engine(engine())
}

fn service(port: u16, container: Container) -> LocalService {
    configured(port, container, |config| config)
}

fn configured(
    port: u16,
    container: Container,
    change: impl FnOnce(LocalServiceConfig) -> LocalServiceConfig,
) -> LocalService {
    let config = LocalServiceConfig::launched_by(container).ready_timeout(Duration::from_secs(30));
    let url = format!("http://127.0.0.1:{port}/v1");
    let service = Registry::new().service("container", url, change(config));
    service.expect("a configuration that works")
}

fn url(port: u16, path: &str) -> String {
    format!("http://127.0.0.1:{port}{path}")
}

async fn fails(service: &LocalService) -> Error {
    within("the error", service.acquire()).await.unwrap_err()
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn many_requests_start_one_container_which_is_removed_when_it_is_idle() {
    let port = free_port();
    let idle = |config: LocalServiceConfig| config.idle_stop(ms(500));
    // Until it binds its port, the engine's proxy takes the connections of the probes; from then on it answers 503.
    let args = ["--delay-bind", "500", "--loading", "300"];
    let service = configured(port, container(&args), idle);
    let mut asked = JoinSet::new();
    for _ in 0..100 {
        let service = service.clone();
        asked.spawn(async move { ask(&service, &url(port, "/hello")).await.unwrap().1 });
    }
    for answer in within("the answers", asked.join_all()).await {
        assert_eq!(answer, "hello");
    }
    assert_eq!(containers(port).len(), 1);
    let status = service.status();
    assert_eq!(
        (status.starts, status.ownership),
        (1, Some(Ownership::Owned))
    );
    assert!(status.guarantees.unwrap().dies_with_program);
    eventually("stopped", || service.status().phase == Phase::Stopped).await;
    assert!(containers(port).is_empty());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_that_exits_fails_the_start_at_once_with_its_code_and_output() {
    let args = [
        "--exit-at-start",
        "--exit-code",
        "3",
        "--print-line",
        "no such model",
    ];
    let port = free_port();
    let service = service(port, container(&args));
    let begun = now();
    let error = fails(&service).await;
    assert!(since(begun) < Duration::from_secs(15), "{:?}", since(begun));
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: Some(3), .. }),
        "{error}"
    );
    let output = error.output_tail().unwrap_or_default();
    assert!(output.contains("no such model"), "{output}");
    eventually("it is removed", || service.status().phase == Phase::Failed).await;
    assert!(containers(port).is_empty());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_server_that_needs_more_memory_than_it_may_have_fails_with_an_error_that_says_so() {
    let args = ["--delay-bind", "300", "--take-memory", "500000000"];
    let port = free_port();
    let small = container(&args).memory(Amount::mib(64));
    let error = fails(&service(port, small)).await;
    let code = Some(137);
    assert!(
        matches!(error.kind(), ErrorKind::Exited { code: found, .. } if *found == code),
        "{error}"
    );
    assert!(error.hint().contains("memory"), "{error:#}");
    // Podman does not say so on all machines.
    if !answer("GET", "/version").contains("Podman") {
        let output = error.output_tail().unwrap_or_default();
        assert!(output.contains("more memory than it may have"), "{error:#}");
    }
    eventually("it is removed", || containers(port).is_empty()).await;
}

/// Reads until there were these lines, each of that stream if there is one. None may have the key.
async fn read(output: &mut Output, key: &str, lines: &[(&str, Option<OutputStream>)]) {
    let mut missing = lines.to_vec();
    while !missing.is_empty() {
        let line = output.next().await;
        assert!(!line.text.contains(key), "{line:?}");
        missing.retain(|(text, stream)| {
            *text != line.text || (stream.is_some() && *stream != line.stream)
        });
    }
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn what_it_writes_to_both_streams_is_shown_without_its_secrets() {
    let key = "sk-12345678";
    let said = format!("begins with {key}");
    let at_start = ["--print-env", "API_KEY", "--print-line-to-stdout", &said];
    let args = [&at_start[..], &["--log-requests"]].concat();
    let port = free_port();
    let service = service(port, container(&args).env("API_KEY", key));
    drop(within("ready", service.acquire()).await.unwrap());
    let mut output = service.output();
    let kept = [
        ("API_KEY=[redacted]", None),
        ("begins with [redacted]", None),
    ];
    within("the lines at the start", read(&mut output, key, &kept)).await;
    ask(&service, &url(port, "/print?bytes=100")).await.unwrap();
    // Only lines that are written while they are followed have a stream.
    let dots = ".".repeat(99);
    let of_request = [
        ("GET /print", Some(OutputStream::Stderr)),
        (dots.as_str(), Some(OutputStream::Stdout)),
    ];
    within("those of a request", read(&mut output, key, &of_request)).await;
    within("the stop", service.stop()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn it_sees_the_folders_that_are_mounted_and_writes_to_none_that_is_read_only() {
    let folder = env::temp_dir().join(format!("tower-local-service-mounts-{}", std::process::id()));
    let folders = ["open", "closed"].map(|it| folder.join(it));
    for folder in &folders {
        fs::create_dir_all(folder).unwrap();
    }
    let [open, closed] = folders.each_ref().map(|it| it.display());
    let args = ["--pid-file", "/open/pid", "--ready-file", "/closed/ready"];
    let mounted = container(&args)
        .mount(format!("{open}:/open"))
        .mount(format!("{closed}:/closed:ro"));
    let service = service(free_port(), mounted);
    drop(within("ready", service.acquire()).await.unwrap());
    let mut output = service.output();
    let refused = async {
        while !output
            .next()
            .await
            .text
            .contains("cannot write /closed/ready")
        {}
    };
    within("the refusal", refused).await;
    let pid = fs::read_to_string(folders[0].join("pid"));
    assert_eq!(pid.unwrap(), "1", "the first process of a container");
    assert_eq!(fs::read_dir(&folders[1]).unwrap().count(), 0);
    within("the stop", service.stop()).await.unwrap();
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_server_that_is_deaf_to_a_stop_is_killed_and_its_container_removed() {
    let port = free_port();
    let hasty = |config: LocalServiceConfig| config.stop_timeout(ms(600));
    let service = configured(port, container(&["--ignore-term"]), hasty);
    drop(within("ready", service.acquire()).await.unwrap());
    let begun = now();
    within("the stop", service.stop()).await.unwrap();
    assert!(since(begun) >= ms(600), "{:?}", since(begun));
    assert!(containers(port).is_empty());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_missing_image_is_an_error_that_says_how_to_get_it() {
    let missing = Container::new("no-such-image:1").engine(engine());
    let error = fails(&service(free_port(), missing)).await;
    assert!(matches!(error.kind(), ErrorKind::Spawn { .. }), "{error}");
    assert_eq!(error.hint(), "get the image: `docker pull no-such-image:1`");
}

#[tokio::test]
async fn without_an_engine_the_start_is_refused_with_what_to_do() {
    let nowhere = Container::new(IMAGE).engine("/nonexistent/engine.sock");
    let error = fails(&service(free_port(), nowhere)).await;
    let ErrorKind::InvalidConfig { problems, .. } = error.kind() else {
        panic!("{error}");
    };
    assert_eq!(problems[0].field, "container.engine");
    assert!(problems[0].message.contains("start the engine"), "{error}");
    let remote = Container::new(IMAGE).engine("tcp://example.com:2375");
    let error = fails(&service(free_port(), remote)).await;
    assert!(
        error.to_string().contains("not a socket of this machine"),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_and_a_process_take_turns_on_one_port() {
    let fixture = Fixture::new();
    let port = fixture.port();
    let in_container = service(port, container(&[]));
    let process = fixture.service("process");
    for _ in 0..2 {
        let (_, pid) = ask(&in_container, &url(port, "/pid")).await.unwrap();
        assert_eq!(pid, "1", "the first process of a container");
        assert_eq!(containers(port).len(), 1);
        let (_, pid) = ask(&process, &url(port, "/pid")).await.unwrap();
        assert_ne!(pid, "1");
        assert!(containers(port).is_empty());
    }
    within("the stop", process.stop()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_that_is_killed_by_hand_is_started_again() {
    let port = free_port();
    let service = service(port, container(&[]));
    let lease = within("ready", service.acquire()).await.unwrap();
    let name = containers(port).remove(0);
    answer("POST", &format!("/containers/{name}/kill"));
    let ended = within("its end", lease.ended()).await;
    assert!(
        matches!(
            ended.kind(),
            ErrorKind::Exited {
                code: Some(137),
                ..
            }
        ),
        "{ended}"
    );
    drop(lease);
    assert_eq!(
        ask(&service, &url(port, "/hello")).await.unwrap().1,
        "hello"
    );
    assert_eq!(service.status().starts, 2);
    within("the stop", service.stop()).await.unwrap();
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn a_container_of_a_file_gets_the_port_that_was_chosen() {
    let config = serde_json::json!({
        "container": {
            "image": IMAGE, "engine": engine(), "port": 8080, "memory": "256m", "init": true,
            "args": ["--port", "8080", "--host", "0.0.0.0", "--print-env", "PLACE", "--max-life", "90000"],
            "env": { "PLACE": "outside at ${port}" },
        },
        "healthUrl": "http://127.0.0.1:${port}/v1/models",
    });
    let config: LocalServiceConfig = serde_json::from_value(config).unwrap();
    let service = Registry::new().service("file", "http://127.0.0.1:${port}/v1", config);
    let service = service.unwrap();
    let port = service.base_url().port_u16().unwrap();
    let (_, pid) = ask(&service, &url(port, "/pid")).await.unwrap();
    assert_ne!(pid, "1", "the init is that");
    let said = format!("PLACE=outside at {port}");
    let mut output = service.output();
    let found = async { while output.next().await.text != said {} };
    within("the line", found).await;
    within("the stop", service.stop()).await.unwrap();
    assert!(containers(port).is_empty());
}

#[tokio::test]
#[ignore = "needs an engine"]
async fn an_external_server_is_not_taken_for_a_container() {
    let fixture = Fixture::new();
    let outside = fixture.run_outside();
    let service = service(fixture.port(), container(&[]));
    let (_, pid) = ask(&service, &fixture.url("/pid")).await.unwrap();
    assert_eq!(pid, outside.pid().to_string());
    let ownership = service.status().ownership;
    assert!(
        matches!(ownership, Some(Ownership::External { .. })),
        "{ownership:?}"
    );
}
