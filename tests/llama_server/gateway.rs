//! The gateway with real models behind it.

use http_body_util::BodyExt as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    llama::{PHRASE, endless, llama, llama_on, short},
    real::measured,
    support::{
        gateway::{Gateway, all},
        get, ms, within,
    },
};

const CHAT: &str = "/v1/chat/completions";

/// A chat for this provider.
fn to(provider: &str, mut chat: Value) -> Value {
    chat["model"] = json!(format!("{provider}/tiny"));
    chat
}

/// The text of all events, and whether the stream was complete.
fn told(events: &str) -> (String, bool) {
    let data = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let (done, tokens): (Vec<_>, Vec<_>) = data.partition(|data| *data == "[DONE]");
    let content = |data: &str| {
        let json: Value = serde_json::from_str(data).expect("an event of JSON");
        let content = json["choices"][0]["delta"]["content"].as_str();
        content.unwrap_or_default().to_owned()
    };
    (tokens.into_iter().map(content).collect(), done.len() == 1)
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn two_models_on_one_port_swap_behind_the_gateway() {
    let one = llama().args(["--alias", "model-one"]);
    let two = llama_on(one.port()).args(["--alias", "model-two"]);
    let gateway = Gateway::start(&json!({ "one": one.provider(), "two": two.provider() }));
    for _ in 0..3 {
        let begun = Instant::now();
        for (provider, name, other) in [("one", "model-one", &two), ("two", "model-two", &one)] {
            let reply = gateway.ask(CHAT, &to(provider, short())).await.json();
            assert_eq!(reply["model"], name);
            let content = reply["choices"][0]["message"]["content"].as_str();
            assert_eq!(content.unwrap().trim(), PHRASE);
            assert!(other.alive().is_empty());
        }
        measured("two swaps behind the gateway", begun.elapsed());
    }
    assert_eq!(gateway.status("one").await["starts"], 3);
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_stream_comes_token_by_token_to_its_end() {
    let server = llama();
    let gateway = Gateway::start(&json!({ "one": server.provider() }));
    let mut chat = to("one", short());
    chat["stream"] = json!(true);
    let mut body = gateway.open(CHAT, &chat).await.into_body();
    let (mut text, mut frames) = (String::new(), 0);
    while let Some(frame) = within("the next token", body.frame()).await {
        let data = frame.expect("a whole body").into_data().expect("data");
        text.push_str(std::str::from_utf8(&data).unwrap());
        frames += 1;
    }
    let (content, is_done) = told(&text);
    assert_eq!(content.trim(), PHRASE);
    assert!(is_done, "{text}");
    assert!(frames > 1, "it came in one piece");
    gateway.until("one", |status| status["leases"] == 0).await;
}

/// llama-server itself allows every page.
#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_page_is_allowed_nothing_by_the_server_behind_the_gateway() {
    let server = llama();
    let gateway = Gateway::start(&json!({ "one": server.provider() }));
    let reply = gateway.ask(CHAT, &to("one", short())).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let direct = get(server.port(), "/health").await.unwrap();
    assert!(direct.head.contains("Access-Control-Allow-Origin"));
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_client_that_disconnects_ends_its_lease_within_100_ms() {
    let server = llama();
    let gateway = Gateway::start(&json!({ "one": server.provider() }));
    let mut took = Vec::new();
    // Other tests may delay this one.
    while !took.iter().any(|it| *it < ms(100)) {
        assert!(took.len() < 20, "{took:?}");
        let mut response = gateway.open(CHAT, &to("one", endless(true))).await;
        let token = within("a token", response.body_mut().frame()).await;
        assert!(token.is_some_and(|token| token.is_ok()));
        gateway.until("one", |status| status["leases"] == 1).await;
        let begun = Instant::now();
        drop(response);
        gateway.until("one", |status| status["leases"] == 0).await;
        took.push(begun.elapsed());
    }
    measured("from the hang-up to no lease", took[took.len() - 1]);
    // The server still answers.
    let reply = gateway.ask(CHAT, &to("one", short())).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn after_ctrl_c_a_stream_comes_to_its_end_and_nothing_is_left() {
    let server = llama();
    let mut gateway = Gateway::start(&json!({ "one": server.provider() }));
    let mut chat = to("one", short());
    chat["stream"] = json!(true);
    let mut response = gateway.open(CHAT, &chat).await;
    let first = within("a token", response.body_mut().frame()).await;
    let first = first.unwrap().unwrap().into_data().unwrap();
    gateway.signal(Signal::INT);
    let rest = all(response.into_body()).await.expect("a whole body");
    let (content, is_done) = told(&format!("{}{rest}", String::from_utf8_lossy(&first)));
    assert_eq!(content.trim(), PHRASE);
    assert!(is_done);
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.log());
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn an_endless_stream_is_cut_off_at_the_end_of_the_drain() {
    let server = llama();
    let providers = json!({ "one": server.provider() });
    let mut gateway = Gateway::start_with(&providers, &["--drain", "0.5"]);
    let response = gateway.open(CHAT, &to("one", endless(true))).await;
    let begun = Instant::now();
    gateway.signal(Signal::TERM);
    let events = all(response.into_body()).await.expect("an end");
    let (_, last) = events.rsplit_once("data: ").expect("an event");
    assert!(last.contains(r#""code":"stopped""#), "{last}");
    assert_eq!(gateway.ended().code(), Some(0), "{}", gateway.log());
    measured(
        "from the signal to the end, 0.5 s of drain",
        begun.elapsed(),
    );
    server.assert_gone();
}
