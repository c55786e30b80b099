//! Servers that go and come again by themselves.

use serde_json::json;

use crate::support::{
    Fixture, PROGRAM, eventually,
    gateway::{Gateway, provider},
    kill,
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
