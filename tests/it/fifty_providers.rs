//! Many servers of one file at the same time.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};
use tower::{Layer as _, ServiceExt as _};
use tower_local_service::{EnsureLocalServiceLayer, Phase, Registry, provider::ProvidersConfig};

use crate::{
    clients::{chunk, get, hyper_client},
    support::{Fixture, PROGRAM, is_alive},
};

const COUNT: usize = 50;

/// For fifty starts at once, on a machine that has other things to do.
const LONG: Duration = Duration::from_secs(100);

fn id(n: usize) -> String {
    format!("p{n:02}")
}

fn providers(fixtures: &[Fixture]) -> Value {
    let provider = |(n, fixture): (usize, &Fixture)| {
        let local = json!({ "command": PROGRAM, "args": fixture.args(),
            "healthUrl": fixture.url("/v1/models") });
        let value = json!({ "baseUrl": fixture.url(""), "localService": local });
        (id(n), value)
    };
    Value::Object(fixtures.iter().enumerate().map(provider).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_providers_of_one_file_are_used_at_once_and_all_are_stopped() {
    let fixtures: Vec<_> = (0..COUNT).map(|_| Fixture::new()).collect();
    let file = json!({ "models": { "providers": providers(&fixtures) } });
    let file: ProvidersConfig = serde_json::from_value(file).unwrap();
    let registry = Registry::new();
    let providers = file.register(&registry).unwrap();
    assert_eq!(registry.services().len(), COUNT);
    let client = EnsureLocalServiceLayer::new(providers.clone()).layer(hyper_client());

    let mut requests = JoinSet::new();
    for fixture in &fixtures {
        let (client, url) = (client.clone(), fixture.url("/stall?chunks=1"));
        requests.spawn(async move {
            let answer = timeout(LONG, client.oneshot(get(&url))).await;
            let mut body = answer.expect("a head in time").unwrap().into_body();
            chunk(&mut body).await.unwrap().unwrap();
            body
        });
    }
    // None of them ends by itself, so all fifty are read at the same time.
    let bodies = requests.join_all().await;
    for (n, fixture) in fixtures.iter().enumerate() {
        let service = providers.get(&id(n)).unwrap().service.unwrap();
        let status = service.status();
        assert_eq!((status.phase, status.leases), (Phase::Ready, 1), "{n}");
        assert_eq!(
            fixture.starts(),
            [status.pid.unwrap()],
            "{n}: one start, of its own"
        );
    }

    drop(bodies);
    timeout(LONG, registry.shutdown())
        .await
        .expect("a shutdown in time");
    for fixture in &fixtures {
        assert!(!is_alive(fixture.starts()[0]));
        assert!(fixture.alive().is_empty());
    }
}
