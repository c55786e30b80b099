//! The usual course: started by a request, streamed to its end, stopped when idle.

use std::{env, time::Duration};

use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt as _, Full};
use tower_local_service::{LocalService, LocalServiceConfig, Phase, Registry};

use crate::clients::{Ensured, HyperClient, Request, chunk, ensured, hyper_client, send, text};
use crate::support::{eventually, free_port, is_alive, kill, within};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tiny.gguf");

/// More tokens than it writes within the time of a test.
const ENDLESS: u32 = 1_000_000;

/// A llama-server with a model of its own, and the clients that start it.
struct Llama {
    base_url: String,
    service: LocalService,
    hyper: Ensured<HyperClient>,
    reqwest: Ensured<reqwest::Client>,
}

impl Llama {
    fn new(name: &str) -> Self {
        Self::with(name, |config| config)
    }

    fn with(name: &str, configure: impl FnOnce(LocalServiceConfig) -> LocalServiceConfig) -> Self {
        let port = free_port();
        let base_url = format!("http://127.0.0.1:{port}/v1");
        let command = env::var_os("LLAMA_SERVER").expect("LLAMA_SERVER is the path of one");
        let config = LocalServiceConfig::new(command)
            .args(["--model", MODEL, "--host", "127.0.0.1"])
            .args(["--port".to_owned(), port.to_string()])
            .health_url(format!("http://127.0.0.1:{port}/health"));
        let registry = Registry::new();
        let service = registry
            .service(name, &base_url, configure(config))
            .unwrap();
        Self {
            hyper: ensured(&service, hyper_client()),
            reqwest: ensured(&service, reqwest::Client::new()),
            base_url,
            service,
        }
    }

    fn chat_url(&self) -> String {
        format!("{}/chat/completions", self.base_url)
    }

    fn hyper_chat(&self, tokens: u32) -> Request {
        let request = http::Request::post(self.chat_url()).header(CONTENT_TYPE, "application/json");
        request.body(Full::from(chat(tokens))).unwrap()
    }

    fn reqwest_chat(&self, tokens: u32) -> reqwest::Request {
        let post = reqwest::Client::new().post(self.chat_url());
        post.header(CONTENT_TYPE, "application/json")
            .body(chat(tokens))
            .build()
            .unwrap()
    }

    fn leases(&self) -> usize {
        self.service.status().leases
    }

    fn pid(&self) -> u32 {
        self.service.status().pid.expect("an owned process")
    }

    /// Drops the last handle, which stops the server.
    async fn ends(self) {
        let pid = self.service.status().pid;
        drop(self);
        if let Some(pid) = pid {
            eventually("llama-server is gone", || !is_alive(pid)).await;
        }
    }
}

fn chat(tokens: u32) -> String {
    serde_json::json!({
        "messages": [{ "role": "user", "content": "hello" }],
        "stream": true,
        "max_tokens": tokens,
        "ignore_eos": true,
    })
    .to_string()
}

/// Reads a whole stream of so many tokens.
fn assert_whole(events: &str, tokens: usize) {
    assert_eq!(events.matches("\"content\":\"").count(), tokens, "{events}");
    assert!(events.contains("\"finish_reason\":\"length\""), "{events}");
    assert!(events.trim_end().ends_with("data: [DONE]"), "{events}");
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_chat_is_streamed_to_its_end_from_a_cold_start() {
    let llama = Llama::new("a chat through hyper");
    for start in ["cold", "warm"] {
        let response = send(&llama.hyper, llama.hyper_chat(20)).await.unwrap();
        assert_eq!(response.status(), 200, "{start}");
        let events = text(response.into_body()).await.unwrap();
        assert_whole(&events, 20);
        assert_eq!(llama.leases(), 0);
    }
    let response = send(&llama.reqwest, llama.reqwest_chat(20)).await.unwrap();
    assert_eq!(response.url().as_str(), llama.chat_url());
    let events = within("the stream", response.text()).await.unwrap();
    assert_whole(&events, 20);
    assert_eq!(llama.leases(), 0);
    assert_eq!(llama.service.status().starts, 1);
    llama.ends().await;
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_chat_that_is_dropped_half_way_ends_its_lease_at_once() {
    let llama = Llama::new("half a chat");
    let mut body = send(&llama.hyper, llama.hyper_chat(ENDLESS))
        .await
        .unwrap()
        .into_body();
    chunk(&mut body).await.unwrap().unwrap();
    assert_eq!(llama.leases(), 1);
    drop(body);
    assert_eq!(llama.leases(), 0);

    let mut response = send(&llama.reqwest, llama.reqwest_chat(ENDLESS))
        .await
        .unwrap();
    assert!(within("a chunk", response.chunk()).await.unwrap().is_some());
    assert_eq!(llama.leases(), 1);
    drop(response);
    assert_eq!(llama.leases(), 0);

    let response = send(&llama.hyper, llama.hyper_chat(5)).await.unwrap();
    assert_whole(&text(response.into_body()).await.unwrap(), 5);
    llama.ends().await;
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn an_idle_server_is_stopped_and_the_next_chat_starts_it_again() {
    let llama = Llama::with("an idle chat", |config| {
        config.idle_stop(Duration::from_millis(300))
    });
    for starts in 1..=3 {
        let response = send(&llama.hyper, llama.hyper_chat(5)).await.unwrap();
        let events = within("the stream", response.into_body().collect()).await;
        assert_whole(&String::from_utf8_lossy(&events.unwrap().to_bytes()), 5);
        assert_eq!(llama.service.status().starts, starts);
        let pid = llama.pid();
        eventually("it is stopped", || {
            llama.service.status().phase == Phase::Stopped
        })
        .await;
        assert!(!is_alive(pid));
    }
    llama.ends().await;
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_server_that_is_killed_breaks_its_chats_and_the_next_one_is_whole() {
    let llama = Llama::new("a killed chat");
    let mut hyper = send(&llama.hyper, llama.hyper_chat(ENDLESS))
        .await
        .unwrap()
        .into_body();
    let mut reqwest = send(&llama.reqwest, llama.reqwest_chat(ENDLESS))
        .await
        .unwrap();
    chunk(&mut hyper).await.unwrap().unwrap();
    assert!(within("a chunk", reqwest.chunk()).await.unwrap().is_some());
    assert_eq!(llama.leases(), 2);

    kill(llama.pid());
    let broken = within("the end", hyper.collect()).await;
    broken.expect_err("a chat that ends as if it were whole");
    let broken = within("the end", async {
        while reqwest.chunk().await?.is_some() {}
        Ok::<_, reqwest::Error>(())
    });
    broken
        .await
        .expect_err("a chat that ends as if it were whole");
    assert_eq!(llama.leases(), 0);
    // Its connections end a moment before the process does.
    eventually("its death is known", || {
        llama.service.status().phase != Phase::Ready
    })
    .await;

    let response = send(&llama.reqwest, llama.reqwest_chat(5)).await.unwrap();
    assert_whole(&within("the stream", response.text()).await.unwrap(), 5);
    assert_eq!(llama.service.status().starts, 2);
    llama.ends().await;
}

#[tokio::test]
#[ignore = "needs LLAMA_SERVER=/path/to/llama-server"]
async fn a_stop_ends_a_server_in_mid_answer() {
    let llama = Llama::with("a stopped chat", |config| {
        config.stop_timeout(Duration::from_secs(4))
    });
    let mut body = send(&llama.hyper, llama.hyper_chat(ENDLESS))
        .await
        .unwrap()
        .into_body();
    chunk(&mut body).await.unwrap().unwrap();
    let pid = llama.pid();
    within("the stop", llama.service.stop()).await.unwrap();
    assert!(!is_alive(pid));
    let error = within("the end", body.collect()).await.unwrap_err();
    let stopped = matches!(
        crate::clients::kind(&*error),
        Some(tower_local_service::ErrorKind::Stopped { .. })
    );
    assert!(stopped, "{error:?}");
    llama.ends().await;
}
