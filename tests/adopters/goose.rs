//! goose: a trait object executes the requests of its providers, and its errors are those of anyhow.

use anyhow::anyhow;
use async_trait::async_trait;
use futures::StreamExt as _;
use reqwest::{Client, Request, Response};
use tower::ServiceExt as _;
use tower_local_service::{BoxError, EnsureLocalService, Error, ErrorKind, LocalService};

use crate::{
    check::{Setup, assert_killed, chat, pieces},
    support::Fixture,
};

#[async_trait]
trait RequestExecutor: Send + Sync {
    async fn execute(&self, request: Request) -> anyhow::Result<Response>;
}

struct Ensured(EnsureLocalService<Client, LocalService>);

#[async_trait]
impl RequestExecutor for Ensured {
    async fn execute(&self, request: Request) -> anyhow::Result<Response> {
        self.0.clone().oneshot(request).await.map_err(into_anyhow)
    }
}

/// The errors by which goose decides whether to ask again keep their types.
fn into_anyhow(error: BoxError) -> anyhow::Error {
    match error.downcast::<reqwest::Error>() {
        Ok(of_the_client) => anyhow!(*of_the_client),
        Err(error) => match error.downcast::<Error>() {
            Ok(of_the_layer) => anyhow!(*of_the_layer),
            Err(other) => anyhow!(other),
        },
    }
}

fn executor(service: &LocalService) -> Box<dyn RequestExecutor> {
    Box::new(Ensured(EnsureLocalService::new(
        Client::new(),
        service.clone(),
    )))
}

async fn open(executor: &dyn RequestExecutor, url: &str) -> anyhow::Result<Response> {
    let request = Client::new().post(url).json(&chat()).build()?;
    executor.execute(request).await
}

#[tokio::test]
async fn the_executor_of_goose_is_wrapped() {
    let it = Setup::new("goose");
    let (executor, url) = (executor(&it.service), it.url());
    let error = it
        .check(|| async {
            let response = open(executor.as_ref(), &url).await;
            let response = response.map_err(|error| format!("{error:#}"))?;
            Ok(pieces(response.bytes_stream()).boxed())
        })
        .await;
    assert_killed(&error);
}

#[tokio::test]
async fn goose_finds_out_why_the_server_does_not_start() {
    let fixture = Fixture::new()
        .flag("--exit-at-start")
        .with("--exit-code", 3);
    let service = fixture.service("goose, fails");
    let failed = open(executor(&service).as_ref(), &fixture.base_url()).await;
    let error = failed.unwrap_err();
    let error = error.downcast_ref::<Error>().expect("its type");
    assert!(matches!(
        error.kind(),
        ErrorKind::Exited { code: Some(3), .. }
    ));
}
