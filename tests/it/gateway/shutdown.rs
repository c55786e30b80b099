//! Signals: what is in progress, and what was started.

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{
    Fixture, eventually,
    gateway::{Gateway, all, chat_provider, file, provider},
    is_alive, ms, within,
};

fn chat() -> Value {
    json!({ "stream": true, "model": "one/m" })
}

#[tokio::test]
async fn a_signal_lets_answers_end_then_stops_what_was_started() {
    for signal in [Signal::INT, Signal::TERM] {
        let fixture = Fixture::new()
            .with("--tokens", 100)
            .with("--token-gap", 20)
            .notes_signals();
        let mut gateway = Gateway::start(&json!({ "one": chat_provider(&fixture) }));
        let response = gateway.open("/v1/chat/completions", &chat()).await;
        let idle = TcpStream::connect(gateway.address()).await.unwrap();
        gateway.signal(signal);
        eventually("no connection is taken any more", || {
            std::net::TcpStream::connect(gateway.address()).is_err()
        })
        .await;
        assert!(fixture.terms().is_empty(), "it is in use");
        let waits = "answers are in progress provider=\"one\" leases=1";
        eventually("it says what it waits for", || {
            gateway.log().contains(waits)
        })
        .await;
        let body = all(response.into_body()).await.expect("a whole answer");
        assert!(body.ends_with("[DONE]\n\n"), "{body}");
        // One that sends nothing does not hold up the end.
        let status = gateway.ended();
        assert_eq!(status.code(), Some(0), "{}", gateway.log());
        assert_eq!(fixture.terms().len(), 1, "it was stopped in order");
        assert!(fixture.alive().is_empty());
        drop(idle);
    }
}

#[tokio::test]
async fn a_second_signal_ends_all_of_it_at_once() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let fixture = Fixture::new()
            .with("--tokens", 100_000)
            .flag("--ignore-term");
        let mut gateway = Gateway::start(&json!({ "one": chat_provider(&fixture) }));
        let response = gateway.open("/v1/chat/completions", &chat()).await;
        gateway.signal(signal);
        eventually("the first was heard", || {
            gateway.log().contains("no more requests")
        })
        .await;
        gateway.signal(signal);
        assert_eq!(gateway.ended().code(), Some(code));
        fixture.is_gone().await;
        drop(response);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_cut_off_with_a_word() {
    let fixture = Fixture::new().with("--tokens", 100_000);
    let providers = json!({ "one": chat_provider(&fixture) });
    let mut gateway = Gateway::start_with(&providers, &["--drain", "0.3"]);
    let response = gateway.open("/v1/chat/completions", &chat()).await;
    gateway.signal(Signal::TERM);
    let body = all(response.into_body()).await.expect("an end");
    let (_, last) = body.rsplit_once("data: ").expect("an event");
    assert!(last.contains(r#""code":"stopped""#), "{last}");
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.log());
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn a_request_that_waits_for_a_start_is_sent_away_and_the_start_is_stopped() {
    let fixture = Fixture::new().flag("--never-bind");
    let mut gateway = Gateway::start(&json!({ "one": chat_provider(&fixture) }));
    let chat = chat();
    let waits = gateway.ask("/v1/chat/completions", &chat);
    let ends = async {
        eventually("it is started", || fixture.starts().len() == 1).await;
        gateway.signal(Signal::INT);
    };
    let (reply, ()) = tokio::join!(waits, ends);
    assert_eq!(reply.failure(), (503, "shut_down".into()));
    assert!(
        reply.body.contains("gateway is being stopped"),
        "{}",
        reply.body
    );
    assert!(!reply.body.contains("registry"), "{}", reply.body);
    assert_eq!(gateway.ended().code(), Some(0));
    assert!(fixture.alive().is_empty());
}

#[tokio::test]
async fn a_killed_gateway_leaves_nothing() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    gateway.post("/admin/one/start", "").await;
    gateway.signal(Signal::KILL);
    fixture.is_gone().await;
}

#[tokio::test]
async fn a_hang_up_reads_the_file_again_and_keeps_what_has_not_changed() {
    let (one, two) = (Fixture::new(), Fixture::new());
    let gateway = Gateway::start(&json!({ "one": provider(&one) }));
    gateway.post("/admin/one/start", "").await;
    let both = json!({ "one": provider(&one), "two": provider(&two) });
    gateway.file().write(file(&both));
    gateway.signal(Signal::HUP);
    eventually("it is read", || gateway.log().contains("reloaded")).await;
    let hello = gateway.ask("/v1/hello", &json!({ "model": "two/m" })).await;
    assert_eq!(hello.body, "hello");
    assert!(is_alive(one.starts()[0]));

    gateway.file().write("{ models: ");
    gateway.signal(Signal::HUP);
    let refused = async {
        while !gateway.log().contains("stays as it was") {
            tokio::time::sleep(ms(2)).await;
        }
    };
    within("it is refused", refused).await;
    assert!(gateway.log().contains("line 1"), "{}", gateway.log());
    let hello = gateway.ask("/v1/hello", &json!({ "model": "one/m" })).await;
    assert_eq!(hello.body, "hello");
}
