//! The log of requests: a line for each, at its end.

use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use serde_json::json;

use crate::support::{
    Fixture, eventually,
    gateway::{ConfigFile, Gateway, all, chat_provider, file, provider},
};

/// The lines of the request with this id, once there is one.
async fn lines(gateway: &Gateway, id: &str) -> Vec<String> {
    let id = format!("id=\"{id}\"");
    let of_request = || {
        let log = gateway.log();
        let lines = log.lines().filter(|line| line.contains(&id));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("its line", || !of_request().is_empty()).await;
    of_request()
}

/// One line, at this level, that says all of this.
async fn assert_line(gateway: &Gateway, id: &str, level: &str, says: &[&str]) {
    let lines = lines(gateway, id).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains(&format!(" {level} ")), "{lines:?}");
    for part in says {
        assert!(lines[0].contains(part), "{part:?} is not in {lines:?}");
    }
}

fn ask(gateway: &Gateway, path: &str, id: &str, stream: bool) -> Request<Full<Bytes>> {
    let body = json!({ "model": "one/tiny", "stream": stream }).to_string();
    let request = Request::post(gateway.url(path)).header("x-request-id", id);
    request.body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn a_whole_answer_is_one_line_with_provider_model_times_and_length() {
    let fixture = Fixture::new().with("--tokens", 3);
    let gateway = Gateway::start(&json!({ "one": chat_provider(&fixture) }));
    let chat = "/v1/chat/completions";
    for (id, stream) in [("whole", false), ("stream", true)] {
        let reply = gateway.reply_to(ask(&gateway, chat, id, stream)).await;
        let bytes = format!("bytes={} ", reply.body.len());
        let line = lines(&gateway, id).await.remove(0) + " ";
        assert!(line.contains(&bytes), "{bytes} is not in {line}");
        let says = [
            "method=POST",
            "path=\"/v1/chat/completions\"",
            "provider=\"one\"",
            "model=\"tiny\"",
            "status=200",
            "head_ms=",
            " ms=",
            "complete",
        ];
        assert_line(&gateway, id, "INFO", &says).await;
    }
}

#[tokio::test]
async fn what_is_refused_says_why_in_its_line() {
    let gateway = Gateway::start(&json!({}));
    let path = "/v1/chat/completions?key=a-secret";
    gateway.reply_to(ask(&gateway, path, "nobody", false)).await;
    let says = ["status=404", "code=\"model_not_found\"", "no provider has"];
    assert_line(&gateway, "nobody", "INFO", &says).await;
    assert!(!gateway.log().contains("a-secret"), "{}", gateway.log());
}

#[tokio::test]
async fn a_client_that_hangs_up_is_in_its_line() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let request = ask(&gateway, "/v1/stream?chunks=1000&gap_ms=50", "gone", true);
    let mut response = gateway.send(request).await;
    response.frame().await.unwrap().unwrap();
    drop(response);
    let says = ["status=200", "the client hung up", "provider=\"one\""];
    assert_line(&gateway, "gone", "INFO", &says).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_before_there_is_an_answer_is_in_its_line_without_a_status() {
    let fixture = Fixture::new().with("--delay-bind", 60_000);
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    tokio::select! {
        _ = gateway.send(ask(&gateway, "/v1/hello", "early", false)) => panic!("it is not ready"),
        _ = gateway.until("one", |status| status["waiters"] == 1) => {}
    }
    assert_line(
        &gateway,
        "early",
        "INFO",
        &["the client hung up", "bytes=0"],
    )
    .await;
    let line = lines(&gateway, "early").await.remove(0);
    assert!(!line.contains("status="), "{line}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_a_warning() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let request = ask(&gateway, "/v1/break-mid-stream", "half", false);
    let response = gateway.send(request).await;
    all(response.into_body()).await.expect_err("a half");
    let says = ["status=200", "broke off", "code=\"broke_off\"", "error="];
    assert_line(&gateway, "half", "WARN", &says).await;
}

/// Its text is in the line of the start, and not in that of each request that waited.
#[tokio::test]
async fn a_start_that_fails_is_told_once() {
    let fixture = Fixture::new()
        .flag("--exit-at-start")
        .with("--print-line", "no such gpu");
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let reply = gateway.reply_to(ask(&gateway, "/v1/hello", "bad", false));
    assert!(reply.await.body.contains("no such gpu"));
    let says = ["status=502", "code=\"exited\"", "complete"];
    assert_line(&gateway, "bad", "WARN", &says).await;
    let told = || gateway.log().matches("no such gpu").count();
    // The line of the start comes from another thread.
    eventually("the line of the start", || told() > 0).await;
    assert_eq!(told(), 1, "{}", gateway.log());
}

/// A failure that comes too late for the status.
#[tokio::test]
async fn a_failure_after_the_head_is_a_warning_with_its_code() {
    let fixture = Fixture::new().with("--delay-bind", 60_000);
    let mut one = chat_provider(&fixture);
    one["timeoutSeconds"] = json!(1);
    let gateway = Gateway::start_with(&json!({ "one": one }), &["--keep-alive", "0.1"]);
    let reply = gateway.reply_to(ask(&gateway, "/v1/chat/completions", "late", true));
    assert!(reply.await.body.contains("timeout"));
    let says = [
        "status=200",
        "broke off",
        "code=\"timeout\"",
        "timeoutSeconds",
    ];
    assert_line(&gateway, "late", "WARN", &says).await;
}

/// What programs ask every few seconds, by either method.
#[tokio::test]
async fn what_polls_is_in_the_log_at_debug_only() {
    const POLLED: [&str; 4] = ["/health", "/metrics", "/admin/status", "/v1/models"];
    for (selected, level) in [("info", None), ("debug", Some("DEBUG"))] {
        let file = ConfigFile::new(file(&json!({})));
        let gateway = Gateway::run_with_log(file, &[], Some(selected));
        for path in POLLED {
            for method in [Method::GET, Method::HEAD] {
                let request = Request::builder()
                    .method(&method)
                    .uri(gateway.url(path))
                    .header("x-request-id", format!("{method}-{path}"));
                let request = request.body(Full::default()).unwrap();
                assert_eq!(gateway.reply_to(request).await.status, 200, "{path}");
            }
        }
        // By then the others have theirs.
        gateway
            .reply_to(ask(&gateway, "/v1/hello", "last", false))
            .await;
        lines(&gateway, "last").await;
        for path in POLLED {
            for method in ["GET", "HEAD"] {
                let id = format!("{method}-{path}");
                match level {
                    Some(level) => {
                        assert_line(&gateway, &id, level, &["status=200", "complete"]).await;
                    }
                    None => assert!(!gateway.log().contains(&id), "{}", gateway.log()),
                }
            }
        }
    }
}

#[tokio::test]
async fn what_polls_without_success_is_in_the_log() {
    let config = ConfigFile::new("{}");
    let keys = config.path().with_file_name("keys");
    std::fs::write(&keys, "sk-the-only-key").unwrap();
    let gateway = Gateway::run(config, &["--api-key-file", keys.to_str().unwrap()]);
    let request = Request::get(gateway.url("/v1/models")).header("x-request-id", "no-key");
    let reply = gateway.reply_to(request.body(Full::default()).unwrap());
    assert_eq!(reply.await.status, 401);
    assert_line(&gateway, "no-key", "INFO", &["status=401"]).await;
}
