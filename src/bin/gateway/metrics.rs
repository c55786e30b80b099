//! What is counted, for Prometheus: by the crate, and the leases at one moment.

use std::time::Duration;

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time;

const LEASES: &str = "local_service_leases";

/// Starts and waits take from a moment to many minutes.
const SECONDS: [f64; 12] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0,
];

/// How often times are sorted into their buckets, if nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Begins to count.
    pub(crate) fn begin() -> Result<Self, String> {
        let seconds = Matcher::Suffix("_seconds".to_owned());
        let builder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &SECONDS);
        let handle = builder.and_then(PrometheusBuilder::install_recorder);
        let handle = handle.map_err(|error| format!("metrics cannot be counted: {error}"))?;
        describe_gauge!(LEASES, "Uses of the service in progress");
        Ok(Self(handle))
    }

    /// As Prometheus reads it. `leases` are those of each service at this moment.
    pub(crate) fn render(&self, leases: Vec<(String, usize)>) -> String {
        for (id, leases) in leases {
            #[expect(clippy::cast_precision_loss, reason = "a metric is one")]
            gauge!(LEASES, "service" => id).set(leases as f64);
        }
        self.0.render()
    }

    /// Keeps what nobody asks for in bounds, as long as it is polled.
    pub(crate) async fn keep(&self) {
        loop {
            time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }
}
