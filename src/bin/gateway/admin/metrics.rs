//! `GET /metrics`, for Prometheus.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
};

use super::server::servers;
use crate::state::Gateway;

/// The form in which Prometheus reads it.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

pub(crate) async fn metrics(
    State(gateway): State<Gateway>,
) -> ([(HeaderName, HeaderValue); 1], String) {
    let servers = servers(&gateway).into_iter();
    let leases = servers.map(|it| (it.provider.id, it.service.status().leases));
    let text = gateway.metrics.render(leases.collect());
    ([(header::CONTENT_TYPE, TEXT)], text)
}
