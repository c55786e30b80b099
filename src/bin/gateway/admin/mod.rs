//! `/admin`: what the servers do, and starting and stopping them by hand. `/health`: that the gateway runs.

mod events;
mod gpu;
mod history;
mod log;
mod memory;
mod status;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower_local_service::{ErrorKind, LocalService, provider::Provider};

use self::status::{Server, ServerStatus, Statuses};
pub(crate) use self::{events::events, gpu::Gpu, history::History, log::log, status::status};
use crate::{app::Gateway, failure::Failure, query};

/// `GET /health`: the gateway answers. It asks and starts no server.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `POST /admin/{provider}/start`: answers when it is ready; with `?wait=no` immediately. If the client hangs up, the
/// start continues.
pub(crate) async fn start(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    RawQuery(asked): RawQuery,
) -> Result<(StatusCode, Json<ServerStatus>), Failure> {
    let server = server(&gateway, &id)?;
    if query::value(asked.as_deref(), "wait") == Some("no") {
        start_behind(server.service.clone());
        return Ok((StatusCode::ACCEPTED, Json(server.status(&gateway).await)));
    }
    let started = server.service.start().await;
    started.map_err(|error| Failure::from(&error))?;
    Ok((StatusCode::OK, Json(server.status(&gateway).await)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is a program, and a start outlives its request"
)]
fn start_behind(service: LocalService) {
    // What comes of it is in the log, the status and the events.
    tokio::spawn(async move { drop(service.start().await) });
}

/// `POST /admin/{provider}/stop`: answers when nothing of it is left. Answers in progress break off. A server that
/// another program started is not stopped.
pub(crate) async fn stop(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
) -> Result<Json<ServerStatus>, Failure> {
    let server = server(&gateway, &id)?;
    let stopped = server.service.stop().await;
    stopped.map_err(|error| Failure::from(&error))?;
    Ok(Json(server.status(&gateway).await))
}

/// `POST /admin/stop`: stops all servers that were started here, side by side, and answers as
/// `GET /admin/status` when nothing of them is left. Those that other programs started stay.
pub(crate) async fn stop_all(state: State<Gateway>) -> Result<Json<Statuses>, Failure> {
    let mut stops = JoinSet::new();
    for server in servers(&state) {
        stops.spawn(async move { server.service.stop().await });
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

/// How many uses of each server are in progress.
pub(crate) fn leases(gateway: &Gateway) -> Vec<(String, usize)> {
    let servers = servers(gateway).into_iter();
    let leases = servers.map(|it| (it.provider.id, it.service.status().leases));
    leases.collect()
}

/// The providers that have a server here.
fn servers(gateway: &Gateway) -> Vec<Server> {
    let ids = gateway.providers.ids().into_iter();
    let known = ids.filter_map(|id| gateway.providers.get(&id));
    known.filter_map(with_server).collect()
}

fn with_server(provider: Provider) -> Option<Server> {
    let service = provider.service.clone()?;
    Some(Server { provider, service })
}

fn server(gateway: &Gateway, id: &str) -> Result<Server, Failure> {
    let provider = gateway.providers.get(id);
    provider.and_then(with_server).ok_or_else(|| {
        Failure::new(
            StatusCode::NOT_FOUND,
            "no_such_provider",
            "no provider with this id has a localService: look at GET /admin/status for those that do",
        )
    })
}
