//! Servers that go and come again by themselves, and files that change.

use serde_json::json;

use crate::support::{
    Fixture, PROGRAM, eventually,
    gateway::{ConfigFile, Gateway, file, provider},
    kill, within,
};

/// Nothing of the request was sent when its connection was refused.
#[tokio::test]
async fn a_request_to_a_server_whose_launcher_restarts_it_is_served() {
    let fixture = Fixture::new().with("--delay-bind", 300);
    let script = format!(
        "while :; do {PROGRAM} {}; sleep 0.1; done",
        fixture.args().join(" ")
    );
    let mut one = provider(&fixture);
    one["localService"]["command"] = json!("/bin/sh");
    one["localService"]["args"] = json!(["-c", script]);
    let gateway = Gateway::start(&json!({ "one": one }));
    let ask = json!({ "model": "one/m" });
    for _ in 0..3 {
        let reply = gateway.ask("/v1/pid", &ask).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        kill(reply.body.parse().expect("a process"));
        eventually("it refuses", || {
            std::net::TcpStream::connect(("127.0.0.1", fixture.port())).is_err()
        })
        .await;
    }
    assert_eq!(gateway.ask("/v1/hello", &ask).await.body, "hello");
}

#[tokio::test]
async fn files_that_change_are_read_again_where_that_is_asked_for() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let config = ConfigFile::new(file(&json!({ "one": provider(&one) })));
    let keys = config.path().with_file_name("keys");
    std::fs::write(&keys, "sk-the-first-key").unwrap();
    let gateway = Gateway::run(
        config,
        &["--watch", "--api-key-file", keys.to_str().unwrap()],
    );
    let both = file(&json!({ "one": provider(&one), "two": provider(&two) }));
    gateway.file().write(both);
    eventually("it is read again", || {
        gateway.log().contains("configuration reloaded")
    })
    .await;
    // One that is half written, or gone for a moment, changes nothing.
    gateway.file().write("{ models: {");
    eventually("it is refused", || {
        gateway.log().contains("the configuration stays as it was")
    })
    .await;
    std::fs::write(&keys, "sk-another-key").unwrap();
    let status = async || {
        let request = http::Request::get(gateway.url("/admin/status"))
            .header("authorization", "Bearer sk-another-key");
        gateway
            .reply_to(request.body(http_body_util::Full::default()).unwrap())
            .await
    };
    let comes = async {
        loop {
            let reply = status().await;
            if reply.status == 200 {
                return reply.json();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let status = within("the next key", comes).await;
    assert!(status["providers"]["two"].is_object(), "{status}");
}
