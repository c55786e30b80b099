//! `/admin`: what the servers do, and starting and stopping them by hand. `/health`: that the gateway runs. `/metrics`.

mod events;
mod log;
mod memory;
mod metrics;
mod server;
mod status;

use axum::{
    Json,
    extract::{Path, RawQuery, State},
    http::StatusCode,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tower_local_service::{ErrorKind, LocalService};

pub(crate) use self::{events::events, log::log, metrics::metrics, status::status};
use self::{
    server::{server, servers},
    status::{ServerStatus, Statuses},
};
use crate::{failure::Failure, query, state::Gateway};

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
