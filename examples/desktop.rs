//! A program with a window: the part behind the window has a runtime of its own, a line that says what the server
//! does, and stops the server when the window is closed.
//!
//! ```sh
//! cargo run --example desktop
//! ```
//!
//! The terminal is the window: each line is a question, and the end of the input (Ctrl-D) closes it. With Tauri,
//! `Backend::open` belongs into `setup`, `ask` into a command, and `close` into `RunEvent::Exit`.
#![expect(clippy::print_stdout, reason = "the terminal is the window")]

mod server;

use std::{io, time::Duration};

use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, time::timeout};
use tower::{Layer, ServiceExt};
use tower_local_service::{
    BoxError, EnsureLocalService, EnsureLocalServiceLayer, Error, LocalService, Phase, Registry,
    Status,
};

/// What the program has behind its window.
struct Backend {
    runtime: Runtime,
    registry: Registry,
    client: EnsureLocalService<Client<HttpConnector, Full<Bytes>>>,
    base_url: String,
}

impl Backend {
    /// `show` is called with each change of the status line.
    fn open(show: impl Fn(&str) + Send + 'static) -> Result<Self, BoxError> {
        let port = server::free_port()?;
        let base_url = server::base_url(port);
        let registry = Registry::new();
        let config =
            server::config(port, "small", server::LOADING)?.idle_stop(Duration::from_secs(60));
        let service = registry.service("small", &base_url, config)?;
        let runtime = Runtime::new()?;
        let client = Client::builder(TokioExecutor::new()).build_http();
        let client = EnsureLocalServiceLayer::new(service.clone()).layer(client);
        runtime.spawn(follow(service, show));
        Ok(Self {
            runtime,
            registry,
            client,
            base_url,
        })
    }

    /// Returns at once; `done` is called with the answer, or with what to show in a dialog.
    fn ask(&self, question: &str, done: impl FnOnce(Result<String, String>) + Send + 'static) {
        let (client, base_url) = (self.client.clone(), self.base_url.clone());
        let chat = json!({ "messages": [{ "role": "user", "content": question }] });
        self.runtime.spawn(async move {
            let answered = answer(client, &base_url, &chat).await;
            done(answered.map_err(|error| match Error::of(&error) {
                Some(error) => format!("{error:#}"),
                None => error.to_string(),
            }));
        });
    }

    /// The window was closed: the server is stopped before the program ends.
    fn close(self) {
        self.runtime.block_on(self.registry.shutdown());
    }
}

async fn answer(
    client: EnsureLocalService<Client<HttpConnector, Full<Bytes>>>,
    base_url: &str,
    chat: &Value,
) -> Result<String, BoxError> {
    let request = Request::post(format!("{base_url}/chat/completions"))
        .header("content-type", "application/json")
        .body(Full::from(chat.to_string()))?;
    let response = client.oneshot(request).await?;
    let answer: Value = serde_json::from_slice(&response.into_body().collect().await?.to_bytes())?;
    let content = answer["choices"][0]["message"]["content"].as_str();
    Ok(content.ok_or("an answer without content")?.to_owned())
}

/// Shows what the server does, and how long it has been loading.
async fn follow(service: LocalService, show: impl Fn(&str)) {
    let mut watch = service.watch();
    let (mut status, mut seconds) = (service.status(), 0);
    let mut shown = String::new();
    loop {
        let line = line(&status, seconds);
        if line != shown {
            show(&line);
            shown = line;
        }
        let changed = timeout(Duration::from_secs(1), watch.changed()).await;
        (status, seconds) = match changed {
            Ok(new) if new.phase == status.phase => (new, seconds),
            Ok(new) => (new, 0),
            Err(_) if status.phase == Phase::Starting => (status, seconds + 1),
            Err(_) => (watch.changed().await, 0),
        };
    }
}

fn line(status: &Status, seconds: u64) -> String {
    match (status.phase, &status.last_error) {
        (Phase::Starting, _) => format!("loading the model … {seconds} s"),
        (Phase::Ready, _) => "ready".to_owned(),
        (Phase::Stopping, _) => "unloading the model …".to_owned(),
        (Phase::Failed, Some(error)) => error.hint().to_owned(),
        _ => "no model is loaded".to_owned(),
    }
}

fn main() -> Result<(), BoxError> {
    server::serve_if_asked();
    let backend = Backend::open(|line| println!("[{line}]"))?;
    for question in io::stdin().lines() {
        backend.ask(&question?, |answered| match answered {
            Ok(answer) => println!("{answer}"),
            Err(dialog) => println!("{dialog}"),
        });
    }
    backend.close();
    Ok(())
}
