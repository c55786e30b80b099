//! `/admin`: what the servers do, and starting and stopping them by hand. `/health`: that the gateway runs.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower_local_service::{ErrorKind, LocalService, Registry, ResourceStatus, Status};

use crate::{app::Gateway, failure::Failure};

/// `GET /health`: the gateway answers. It asks and starts no server.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /admin/status`: all providers with a server here, by their ids, and what they share.
pub(crate) async fn status(State(gateway): State<Gateway>) -> Json<Statuses> {
    let services = services(&gateway).into_iter();
    let providers = services.map(|(id, service)| (id, service.status()));
    Json(Statuses {
        providers: providers.collect(),
        resources: Registry::global().resources(),
    })
}

#[derive(Serialize)]
pub(crate) struct Statuses {
    providers: BTreeMap<String, Status>,
    resources: Vec<ResourceStatus>,
}

/// `POST /admin/{provider}/start`: answers when it is ready. If the client hangs up, the start continues.
pub(crate) async fn start(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<Status>, Failure> {
    let service = service(&gateway, &id)?;
    let started = service.start().await;
    started.map_err(|error| Failure::from(&error))?;
    Ok(Json(service.status()))
}

/// `POST /admin/{provider}/stop`: answers when nothing of it is left. Answers in progress break off. A server that
/// another program started is not stopped.
pub(crate) async fn stop(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<Status>, Failure> {
    let service = service(&gateway, &id)?;
    let stopped = service.stop().await;
    stopped.map_err(|error| Failure::from(&error))?;
    Ok(Json(service.status()))
}

/// `POST /admin/stop`: stops all servers that were started here, side by side, and answers as
/// `GET /admin/status` when nothing of them is left. Those that other programs started stay.
pub(crate) async fn stop_all(state: State<Gateway>) -> Result<Json<Statuses>, Failure> {
    let mut stops = JoinSet::new();
    for (_, service) in services(&state) {
        stops.spawn(async move { service.stop().await });
    }
    for stopped in stops.join_all().await {
        let failed = stopped.err();
        let failed = failed.filter(|it| !matches!(it.kind(), ErrorKind::External { .. }));
        if let Some(error) = failed {
            return Err(Failure::from(&error));
        }
    }
    Ok(status(state).await)
}

fn services(gateway: &Gateway) -> Vec<(String, LocalService)> {
    let ids = gateway.providers.ids().into_iter();
    let services = ids.filter_map(|id| {
        let service = gateway.providers.get(&id)?.service?;
        Some((id, service))
    });
    services.collect()
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
