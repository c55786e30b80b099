//! `GET /metrics`, read as Prometheus does.

use std::collections::HashMap;

use prometheus_parse::{Scrape, Value};
use serde_json::json;

use crate::support::{
    Fixture,
    gateway::{ConfigFile, Gateway, provider},
    within,
};

async fn scrape(gateway: &Gateway) -> Scrape {
    let reply = gateway.get("/metrics").await;
    assert_eq!(reply.status, 200);
    let kind = reply.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    Scrape::parse(reply.body.lines().map(|line| Ok(line.to_owned()))).unwrap()
}

/// Counters and gauges with these labels; of a histogram how many times it has.
fn value(scrape: &Scrape, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels: HashMap<_, _> = labels.iter().copied().collect();
    let mut samples = scrape.samples.iter().filter(|it| it.metric == name);
    let sample = samples.find(|it| {
        let has = |(name, value): (&&str, &&str)| it.labels.get(name) == Some(value);
        labels.iter().all(has)
    })?;
    match &sample.value {
        Value::Counter(value) | Value::Gauge(value) => Some(*value),
        Value::Histogram(counts) => counts.last().map(|it| it.count),
        other => panic!("{name}: {other:?}"),
    }
}

/// Metrics are counted behind the scenes.
async fn until(gateway: &Gateway, name: &str, labels: &[(&str, &str)], wanted: f64) -> Scrape {
    let comes = async {
        loop {
            let scrape = scrape(gateway).await;
            if value(&scrape, name, labels).is_some_and(|it| (it - wanted).abs() < 0.5) {
                return scrape;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within("a metric", comes).await
}

#[tokio::test]
async fn starts_waits_stops_and_leases_are_counted_for_prometheus() {
    let (fixture, fails) = (Fixture::new(), Fixture::new().flag("--exit-at-start"));
    let gateway = Gateway::start(&json!({
        "one": provider(&fixture),
        "two": provider(&fails),
    }));
    let response = gateway
        .open("/v1/stall", &json!({ "model": "one/m" }))
        .await;
    let one = [("service", "one")];
    let ready = [("service", "one"), ("outcome", "ready")];
    let now = until(&gateway, "local_service_up", &one, 1.0).await;
    let waits = [("service", "one"), ("outcome", "served")];
    for (name, labels) in [
        ("local_service_starts_total", &ready[..]),
        ("local_service_start_duration_seconds", &one),
        ("local_service_leases", &one),
    ] {
        assert_eq!(value(&now, name, labels), Some(1.0), "{name}");
    }
    until(&gateway, "local_service_wait_duration_seconds", &waits, 1.0).await;
    drop(response);
    until(&gateway, "local_service_leases", &one, 0.0).await;

    gateway.post("/admin/one/stop", "").await;
    let asked = [("service", "one"), ("reason", "asked")];
    let now = until(&gateway, "local_service_stops_total", &asked, 1.0).await;
    assert_eq!(value(&now, "local_service_waiters", &one), Some(0.0));
    until(&gateway, "local_service_up", &one, 0.0).await;

    gateway.ask("/v1/hello", &json!({ "model": "two/m" })).await;
    let failed = [("service", "two"), ("outcome", "failed")];
    until(&gateway, "local_service_starts_total", &failed, 1.0).await;
    let exited = [("service", "two"), ("reason", "exited")];
    until(&gateway, "local_service_stops_total", &exited, 1.0).await;
    let waits = [("service", "two"), ("outcome", "failed")];
    let now = until(&gateway, "local_service_wait_duration_seconds", &waits, 1.0).await;
    assert_eq!(value(&now, "local_service_starts_total", &ready), Some(1.0));
    // For the people who choose from a list of names.
    for metric in ["local_service_starts_total", "local_service_leases"] {
        assert!(now.docs.contains_key(metric), "{metric}: {:?}", now.docs);
    }
}

#[tokio::test]
async fn what_services_have_of_a_resource_is_a_metric() {
    let fixture = Fixture::new();
    let mut one = provider(&fixture);
    one["localService"]["needs"] = json!({ "gpu0": 18 });
    let file = json!({ "models": { "providers": { "one": one }, "resources": { "gpu0": 24 } } });
    let gateway = Gateway::run(ConfigFile::new(file.to_string()), &[]);
    let gpu = [("resource", "gpu0")];
    gateway.post("/admin/one/start", "").await;
    let now = until(&gateway, "local_service_resource_used", &gpu, 18.0).await;
    assert_eq!(
        value(&now, "local_service_resource_capacity", &gpu),
        Some(24.0)
    );
    gateway.post("/admin/one/stop", "").await;
    until(&gateway, "local_service_resource_used", &gpu, 0.0).await;
}

/// A request that finds its server running costs no metric.
#[tokio::test]
async fn a_warm_request_is_not_counted() {
    let fixture = Fixture::new();
    let gateway = Gateway::start(&json!({ "one": provider(&fixture) }));
    let ask = json!({ "model": "one/m" });
    gateway.ask("/v1/hello", &ask).await;
    let waits = [("service", "one"), ("outcome", "served")];
    let before = until(&gateway, "local_service_wait_duration_seconds", &waits, 1.0).await;
    for _ in 0..20 {
        assert_eq!(gateway.ask("/v1/hello", &ask).await.status, 200);
    }
    let count = |scrape: &Scrape| {
        let name = "local_service_wait_duration_seconds";
        value(scrape, name, &waits)
    };
    assert_eq!(count(&scrape(&gateway).await), count(&before));
}
