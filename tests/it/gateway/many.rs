//! Fifty providers at once, more than a person has.

use serde_json::{Map, json};
use tokio::task::JoinSet;

use crate::support::{
    Fixture,
    gateway::{Gateway, provider},
};

#[tokio::test]
async fn fifty_providers_are_started_side_by_side_and_each_answers_for_itself() {
    let fixtures: Vec<_> = (0..50).map(|_| Fixture::new()).collect();
    let named = fixtures.iter().enumerate();
    let providers: Map<_, _> = named
        .map(|(n, fixture)| (format!("p{n}"), provider(fixture)))
        .collect();
    let gateway = Gateway::start(&json!(providers));
    let gateway = std::sync::Arc::new(gateway);
    let mut asked = JoinSet::new();
    for n in 0..fixtures.len() {
        let gateway = gateway.clone();
        let ask = json!({ "model": format!("p{n}/m") });
        asked.spawn(async move { (n, gateway.ask("/v1/pid", &ask).await.body) });
    }
    for (n, pid) in asked.join_all().await {
        assert_eq!(fixtures[n].starts(), [pid.parse::<u32>().unwrap()], "{n}");
    }
    let models = gateway.get("/v1/models").await.json();
    assert_eq!(models["data"].as_array().unwrap().len(), 50);
}
