//! What is asked of each adopter.

use std::{error::Error as StdError, fmt::Write as _, process::Command};

use futures::{Stream, StreamExt as _, stream::BoxStream};
use serde_json::{Value, json};
use tower_local_service::LocalService;

use crate::support::{Fixture, eventually, example, kill, within};

/// What a program reads of a streamed answer. Its errors are the texts that its users get.
pub(crate) type Pieces = BoxStream<'static, Result<(), String>>;

/// A server that takes 4 s for its answer, and its service.
pub(crate) struct Setup {
    pub(crate) service: LocalService,
    pub(crate) fixture: Fixture,
}

impl Setup {
    pub(crate) fn new(name: &str) -> Self {
        let fixture = Fixture::new().with("--tokens", 40).with("--token-gap", 50);
        let service = fixture.service(name);
        Self { service, fixture }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/chat/completions", self.fixture.base_url())
    }

    /// Opens a stream again and again; the first and the last time the server is started for it. Returns the error
    /// of the stream whose server was killed.
    pub(crate) async fn check<F>(&self, open: impl Fn() -> F) -> String
    where
        F: Future<Output = Result<Pieces, String>>,
    {
        let mut whole = within("a cold answer", open()).await.unwrap();
        within("a piece", whole.next()).await.unwrap().unwrap();
        assert_eq!(self.service.status().leases, 1, "while it streams");
        while let Some(piece) = within("the next piece", whole.next()).await {
            piece.unwrap();
        }
        eventually("the lease is given back", || self.leases() == 0).await;

        let mut dropped = within("a warm answer", open()).await.unwrap();
        within("a piece", dropped.next()).await.unwrap().unwrap();
        assert_eq!(self.leases(), 1, "while it streams");
        drop(dropped);
        eventually("the lease is given back", || self.leases() == 0).await;
        assert_eq!(self.fixture.starts().len(), 1, "one server for both");

        let mut broken = within("a warm answer", open()).await.unwrap();
        within("a piece", broken.next()).await.unwrap().unwrap();
        kill(self.service.status().pid.unwrap());
        let error = loop {
            let piece = within("the next piece", broken.next()).await;
            if let Err(error) = piece.expect("an error, and not only an end") {
                break error;
            }
        };
        drop(broken);

        let mut next = within("the next answer", open()).await.unwrap();
        within("a piece", next.next()).await.unwrap().unwrap();
        assert_eq!(self.fixture.starts().len(), 2, "it was started again");
        self.service.stop().await.unwrap();
        error
    }

    fn leases(&self) -> usize {
        self.service.status().leases
    }
}

#[track_caller]
pub(crate) fn assert_killed(error: &str) {
    assert!(
        error.contains("SIGKILL"),
        "not what the server died of: {error}"
    );
}

/// async-openai and rig keep the text of reqwest's error, and not its causes.
#[track_caller]
pub(crate) fn assert_broken(error: &str) {
    assert!(error.contains("error decoding response body"), "{error}");
}

/// Fails unless this example prints the answer of its server.
#[track_caller]
pub(crate) fn assert_example(name: &str) {
    let output = Command::new(example(name)).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(shown.starts_with("Nobody did, until you asked."), "{shown}");
}

pub(crate) fn chat() -> Value {
    json!({
        "model": "fixture",
        "messages": [{ "role": "user", "content": "Hello" }],
        "stream": true,
    })
}

/// An error and its causes.
pub(crate) fn text(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

pub(crate) fn pieces<T, E>(stream: impl Stream<Item = Result<T, E>> + Send + 'static) -> Pieces
where
    E: StdError + 'static,
{
    let pieces = stream.map(|piece| piece.map(drop).map_err(|error| text(&error)));
    pieces.boxed()
}
