//! `GET /admin/status`: all providers with a server here, and what they share.

use std::{collections::BTreeMap, iter};

use axum::{Json, extract::State};
use serde::Serialize;
use tower_local_service::{Ownership, Registry, ResourceStatus, Status};

use super::{
    memory::Memory,
    server::{Server, servers},
};
use crate::{overview, state::Gateway};

/// How many of the last lines of each server are shown.
const LAST_LINES: usize = 5;

/// All servers by the ids of their providers, and the resources that they share.
#[derive(Serialize)]
pub(crate) struct Statuses {
    providers: BTreeMap<String, ServerStatus>,
    resources: Vec<ResourceStatus>,
}

/// What the crate says of a server, and what an operator asks besides.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerStatus {
    #[serde(flatten)]
    status: Status,
    /// The last error in up to three lines: what happened, the last output, what to do.
    last_error_lines: Option<String>,
    url: String,
    models: Vec<String>,
    /// Without secrets.
    command: Vec<String>,
    /// What the processes of its group have in memory; `null` while none of them was started here.
    memory_bytes: Option<u64>,
    /// The same of GPUs, where `nvidia-smi` tells.
    gpu_memory_bytes: Option<u64>,
    last_output: Vec<String>,
}

pub(crate) async fn status(State(gateway): State<Gateway>) -> Json<Statuses> {
    let memory = Memory::look(&gateway.gpu).await;
    let servers = servers(&gateway).into_iter();
    let providers = servers.map(|server| {
        let status = server.status_with(&memory);
        (server.provider.id, status)
    });
    Json(Statuses {
        providers: providers.collect(),
        resources: Registry::global().resources(),
    })
}

impl Server {
    pub(super) async fn status(&self, gateway: &Gateway) -> ServerStatus {
        self.status_with(&Memory::look(&gateway.gpu).await)
    }

    fn status_with(&self, memory: &Memory) -> ServerStatus {
        let status = self.service.status();
        let owned = status.ownership == Some(Ownership::Owned);
        let pid = status.pid.filter(|_| owned);
        let last_error = status.last_error.as_ref();
        let models = self.provider.models.iter();
        ServerStatus {
            last_error_lines: last_error.map(|error| format!("{error:#}")),
            url: overview::address(&self.provider.base_url),
            models: models.map(|model| model.id.clone()).collect(),
            command: self.service.command(),
            memory_bytes: pid.and_then(|pid| memory.of_group_with(pid)),
            gpu_memory_bytes: pid.and_then(|pid| memory.of_gpu(pid)),
            last_output: self.last_output(),
            status,
        }
    }

    fn last_output(&self) -> Vec<String> {
        let mut output = self.service.output();
        let mut lines: Vec<_> = iter::from_fn(|| output.try_next())
            .map(|line| line.text)
            .collect();
        lines.split_off(lines.len().saturating_sub(LAST_LINES))
    }
}
