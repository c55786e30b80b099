//! `/admin`: what the servers do, and starting and stopping them by hand.

use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Map, Value, json};
use tower_local_service::LocalService;

use crate::{app::Gateway, failure::Failure};

/// `GET /admin/status`: all providers with a server here, by their ids.
pub(crate) async fn status(State(gateway): State<Gateway>) -> Json<Value> {
    let ids = gateway.providers.ids().into_iter();
    let services = ids.filter_map(|id| {
        let service = gateway.providers.get(&id)?.service?;
        Some((id, shown(&service)))
    });
    Json(json!({ "providers": services.collect::<Map<_, _>>() }))
}

/// `POST /admin/{provider}/start`: answers when it is ready. Hanging up leaves the start to itself.
pub(crate) async fn start(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let service = service(&gateway, &id)?;
    let started = service.start().await;
    started.map_err(|error| Failure::from(&error))?;
    Ok(Json(shown(&service)))
}

/// `POST /admin/{provider}/stop`: answers when nothing is left of it. Answers in progress are cut off.
pub(crate) async fn stop(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    let service = service(&gateway, &id)?;
    let stopped = service.stop().await;
    stopped.map_err(|error| Failure::from(&error))?;
    Ok(Json(shown(&service)))
}

fn service(gateway: &Gateway, id: &str) -> Result<LocalService, Failure> {
    let provider = gateway.providers.get(id);
    provider.and_then(|it| it.service).ok_or_else(|| {
        Failure::new(
            StatusCode::NOT_FOUND,
            "no_such_provider",
            "no provider with this id has a localService: look at GET /admin/status for those that do",
        )
    })
}

fn shown(service: &LocalService) -> Value {
    let status = service.status();
    json!({
        "phase": status.phase,
        "ownership": status.ownership,
        "pid": status.pid,
        "leases": status.leases,
        "waiters": status.waiters,
        "up_for_ms": status.up_for.map(millis),
        "idle_for_ms": status.idle_for.map(millis),
        "starts": status.starts,
        "last_error": status.last_error.map(|error| error.to_string()),
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
