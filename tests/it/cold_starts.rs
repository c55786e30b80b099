//! What a response and an event say of a request that waited for a start.

use std::time::Duration;

use tower_local_service::ColdStart;
use tracing::dispatcher;

use crate::{
    clients::{Response, Setup},
    support::{Events, Fixture, eventually, within},
};

fn cold_start(response: &Response) -> Option<ColdStart> {
    response.extensions().get().copied()
}

#[tokio::test]
async fn a_response_says_how_long_its_request_waited_for_a_start() {
    let it = Setup::with("cold start", Fixture::new().with("--delay-bind", 150));
    let cold = it.get("/hello").await;
    let waited = cold_start(&cold).expect("it waited").waited;
    assert!(waited >= Duration::from_millis(150), "{waited:?}");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
    assert_eq!(cold_start(&it.get("/hello").await), None, "warm");

    it.service.stop().await.unwrap();
    assert!(
        cold_start(&it.get("/empty").await).is_some(),
        "an empty answer, too"
    );
    it.service.stop().await.unwrap();
    let (one, other) = tokio::join!(it.get("/hello"), it.get("/hello"));
    assert!(
        cold_start(&one).is_some() && cold_start(&other).is_some(),
        "all who waited"
    );
}

#[test]
fn each_request_that_waited_is_one_event_and_a_warm_one_is_none() {
    let events = Events::new();
    let told = |events: &Events| {
        let waited = |fields: &str| fields.contains("message=waited");
        let seen = events.seen();
        seen.into_iter()
            .filter(|it| it.target.starts_with("tower_local_service") && waited(&it.fields))
            .collect::<Vec<_>>()
    };
    dispatcher::with_default(&events.dispatch(), || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let it = Setup::new("one event");
            assert_eq!(it.text("/hello").await, "hello");
            eventually("it is logged", || !told(&events).is_empty()).await;
            let cold = told(&events);
            assert_eq!(cold.len(), 1, "{cold:?}");
            assert!(cold[0].fields.contains("service=one event"), "{cold:?}");
            assert!(cold[0].fields.contains("waited_ms="), "{cold:?}");
            for _ in 0..5 {
                assert_eq!(it.text("/hello").await, "hello");
            }
            let warm = told(&events);
            assert_eq!(warm.len(), 1, "{warm:?}");
            within("the stop", it.service.stop()).await.unwrap();
            assert_eq!(it.text("/hello").await, "hello");
            eventually("one more has waited", || told(&events).len() > 1).await;
            assert_eq!(told(&events).len(), 2);
        });
    });
}
