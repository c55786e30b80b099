//! One server after another: after a crash, or with another model.

use http_body_util::BodyExt as _;
use serde_json::json;
use tokio::time::Instant;
use tower_local_service::{Ownership, Phase};

use crate::{
    llama::{PHRASE, chat, llama, llama_on, short, until_busy},
    real::{Client, drain, measured},
    support::{eventually, kill, within},
};

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_server_killed_between_two_requests_is_replaced() {
    let server = llama();
    let service = server.service("llama-killed");
    let client = Client::new(&server, &service);

    for starts in 1..=4 {
        let begun = Instant::now();
        let answer = within("a chat", chat(&client, short())).await;
        measured("a chat with a new server", begun.elapsed());
        assert_eq!(answer.unwrap(), PHRASE);
        assert_eq!(service.status().starts, starts);
        kill(service.status().pid.expect("it is ours"));
        eventually("its end is noticed", || {
            service.status().phase != Phase::Ready
        })
        .await;
    }
    service.stop().await.unwrap();
    server.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn two_models_on_one_port_swap() {
    let one = llama().args(["--alias", "model-one"]);
    let two = llama_on(one.port()).args(["--alias", "model-two"]);
    let (service_one, service_two) = (one.service("llama-one"), two.service("llama-two"));
    let client_one = Client::new(&one, &service_one);
    let client_two = Client::new(&two, &service_two);

    for _ in 0..3 {
        let begun = Instant::now();
        let models = within("the first model", client_one.text("/models")).await;
        assert!(models.unwrap().contains("model-one"));
        assert!(two.alive().is_empty());
        let models = within("the second model", client_two.text("/models")).await;
        assert!(models.unwrap().contains("model-two"));
        assert!(one.alive().is_empty());
        measured("two swaps", begun.elapsed());
    }
    assert_eq!(service_two.status().ownership, Some(Ownership::Owned));
    assert_eq!(
        (service_one.status().starts, service_two.status().starts),
        (3, 3)
    );
    service_two.stop().await.unwrap();
    one.assert_gone();
    two.assert_gone();
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_swap_waits_for_the_end_of_a_stream() {
    let one = llama().args(["--alias", "model-one"]);
    let two = llama_on(one.port()).args(["--alias", "model-two"]);
    let (service_one, service_two) = (one.service("llama-streams"), two.service("llama-waits"));
    let client_one = Client::new(&one, &service_one);
    let client_two = Client::new(&two, &service_two);

    let long = json!({
        "messages": [{ "role": "user", "content": "Hello" }],
        "max_tokens": 3000,
        "ignore_eos": true,
        "stream": true,
    });
    let sent = client_one.post("/chat/completions", long);
    let mut response = within("a stream", sent).await.unwrap();
    assert!(response.body_mut().frame().await.unwrap().is_ok());
    until_busy(&one).await;

    let streamed = async {
        let text = drain(response)
            .await
            .expect("a stream that comes to its end");
        (text, Instant::now())
    };
    let swapped = async {
        let answer = chat(&client_two, short())
            .await
            .expect("a chat after the swap");
        (answer, Instant::now())
    };
    let both = async { tokio::join!(streamed, swapped) };
    let ((text, streamed), (answer, swapped)) = within("both", both).await;

    assert!(text.trim_end().ends_with("data: [DONE]"));
    assert_eq!(answer, PHRASE);
    assert!(streamed < swapped);
    measured(
        "from the end of the stream to the answer of the other",
        swapped - streamed,
    );
    assert!(one.alive().is_empty());
    service_two.stop().await.unwrap();
    two.assert_gone();
}
