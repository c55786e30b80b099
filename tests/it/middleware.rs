//! The middleware for reqwest-middleware, alone and inside of reqwest-retry.

use std::sync::Arc;

use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::{
    RetryTransientMiddleware, Retryable, RetryableStrategy, policies::ExponentialBackoff,
};
use tower_local_service::{
    ColdStart, EnsureLocalServiceMiddleware, Error, ErrorKind, LocalService, Resolve,
};

use crate::{
    clients::{Setup, kind},
    support::{Fixture, kill, ms, within},
};

fn client<R>(resolver: R) -> ClientWithMiddleware
where
    R: Resolve<reqwest::Request> + Send + Sync + 'static,
{
    ClientBuilder::new(reqwest::Client::new())
        .with(EnsureLocalServiceMiddleware::new(resolver))
        .build()
}

/// Tries again at once, three times.
fn retries() -> ExponentialBackoff {
    ExponentialBackoff::builder()
        .retry_bounds(ms(1), ms(5))
        .build_with_max_retries(3)
}

fn retrying(service: &LocalService) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new())
        .with(RetryTransientMiddleware::new_with_policy(retries()))
        .with(EnsureLocalServiceMiddleware::new(service.clone()))
        .build()
}

async fn get(
    client: &ClientWithMiddleware,
    url: &str,
) -> reqwest_middleware::Result<reqwest::Response> {
    within("a response head", client.get(url).send()).await
}

#[tokio::test]
async fn a_request_starts_the_server_and_its_response_holds_the_lease() {
    let it = Setup::new("middleware");
    let client = client(it.service.clone());
    let url = it.fixture.url("/stream?chunks=2&gap_ms=30");
    let mut cold = get(&client, &url).await.unwrap();
    assert!(cold.extensions().get::<ColdStart>().is_some());
    assert!(cold.chunk().await.unwrap().is_some());
    assert_eq!(it.leases(), 1);
    while cold.chunk().await.unwrap().is_some() {}
    assert_eq!(it.leases(), 0);
    assert_eq!(cold.url().as_str(), url);

    let warm = get(&client, &url).await.unwrap();
    assert!(warm.extensions().get::<ColdStart>().is_none());
    assert_eq!(it.leases(), 1);
    drop(warm);
    assert_eq!(it.leases(), 0);
    assert_eq!(it.fixture.starts().len(), 1);
}

#[tokio::test]
async fn a_request_to_another_origin_passes_through() {
    let it = Setup::new("middleware, at home");
    let elsewhere = Fixture::new();
    let _elsewhere = elsewhere.run_outside();
    let client = client(it.service.clone());
    let response = get(&client, &elsewhere.url("/hello")).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_eq!(it.fixture.starts(), [0; 0]);
}

#[tokio::test]
async fn a_failed_start_is_found_in_the_error() {
    let fixture = Fixture::new()
        .flag("--exit-at-start")
        .with("--exit-code", 3);
    let it = Setup::with("middleware, fails", fixture);
    let error = get(&client(it.service.clone()), &it.fixture.url("/hello")).await;
    let error = error.unwrap_err();
    assert!(error.is_middleware());
    let exited = matches!(kind(&error), Some(ErrorKind::Exited { code: Some(3), .. }));
    assert!(exited, "{error:?}");
    let ours = Error::find_in(&error).unwrap();
    assert_eq!(ours.service(), "middleware, fails");
    assert!(!error.to_string().contains(&ours.to_string()), "said once");
}

#[tokio::test]
async fn an_error_of_reqwest_is_still_one_and_the_next_request_asks_first() {
    let it = Setup::new("middleware, dies");
    let client = client(it.service.clone());
    let error = get(&client, &it.fixture.url("/die")).await.unwrap_err();
    assert!(matches!(&error, reqwest_middleware::Error::Reqwest(error) if error.is_request()));
    assert_eq!(it.leases(), 0);
    let response = get(&client, &it.fixture.url("/hello")).await.unwrap();
    assert_eq!(response.text().await.unwrap(), "hello");
    assert_eq!(it.fixture.starts().len(), 2);
}

#[tokio::test]
async fn a_request_that_waits_for_a_head_fails_when_the_server_is_stopped() {
    let it = Setup::new("middleware, stopped");
    let client = client(it.service.clone());
    it.service.start().await.unwrap();
    let url = it.fixture.url("/hang");
    let (answer, ()) = tokio::join!(get(&client, &url), async {
        crate::support::eventually("it is asked", || it.leases() == 1).await;
        it.service.stop().await.unwrap();
    });
    let error = answer.unwrap_err();
    assert!(
        matches!(kind(&error), Some(ErrorKind::Stopped { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn reqwest_retry_tries_again_what_a_killed_server_failed_but_no_failed_start() {
    let it = Setup::new("middleware, killed");
    let client = retrying(&it.service);
    for round in 0..10 {
        it.service.start().await.unwrap();
        kill(it.service.status().pid.expect("a server that runs"));
        let response = get(&client, &it.fixture.url("/hello")).await;
        let response = response.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        assert_eq!(response.text().await.unwrap(), "hello");
    }

    let fixture = Fixture::new().flag("--exit-at-start");
    let it = Setup::with("middleware, not retried", fixture);
    let error = get(&retrying(&it.service), &it.fixture.url("/hello")).await;
    let error = error.unwrap_err();
    assert!(
        matches!(kind(&error), Some(ErrorKind::Exited { .. })),
        "{error:?}"
    );
    assert_eq!(it.fixture.starts().len(), 1);
}

/// Tries again whatever we say has a chance, and notes when.
#[derive(Clone, Default)]
struct WhenWeSay(Arc<std::sync::Mutex<Vec<Option<std::time::Duration>>>>);

impl RetryableStrategy for WhenWeSay {
    fn handle(&self, answer: &reqwest_middleware::Result<reqwest::Response>) -> Option<Retryable> {
        let ours = Error::find_in(answer.as_ref().err()?)?;
        self.0.lock().unwrap().push(ours.retry_after());
        Some(Retryable::Transient)
    }
}

#[tokio::test]
async fn a_strategy_for_reqwest_retry_learns_when_to_come_back() {
    let fixture = Fixture::new().flag("--exit-at-start");
    let it = Setup::with("middleware, told when", fixture);
    let strategy = WhenWeSay::default();
    let retry = RetryTransientMiddleware::new_with_policy_and_strategy(retries(), strategy.clone());
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(retry)
        .with(EnsureLocalServiceMiddleware::new(it.service.clone()))
        .build();
    let error = get(&client, &it.fixture.url("/hello")).await.unwrap_err();
    assert!(
        kind(&error).is_some(),
        "found inside of reqwest-middleware's: {error:?}"
    );
    let told = strategy.0.lock().unwrap().clone();
    assert_eq!(told.len(), 4);
    assert!(told.last().unwrap().is_some(), "in the back-off: {told:?}");
}
