//! The providers that have a server here.

use axum::http::StatusCode;
use tower_local_service::{LocalService, provider::Provider};

use crate::{failure::Failure, state::Gateway};

/// A provider, and its server here.
pub(super) struct Server {
    pub(super) provider: Provider,
    pub(super) service: LocalService,
}

/// The providers that have a server here.
pub(super) fn servers(gateway: &Gateway) -> Vec<Server> {
    let ids = gateway.providers.ids().into_iter();
    let known = ids.filter_map(|id| gateway.providers.get(&id));
    known.filter_map(with_server).collect()
}

fn with_server(provider: Provider) -> Option<Server> {
    let service = provider.service.clone()?;
    Some(Server { provider, service })
}

/// The server of the provider with this id.
pub(super) fn server(gateway: &Gateway, id: &str) -> Result<Server, Failure> {
    let provider = gateway.providers.get(id);
    provider.and_then(with_server).ok_or_else(|| {
        Failure::new(
            StatusCode::NOT_FOUND,
            "no_such_provider",
            "no provider with this id has a localService: look at GET /admin/status for those that do",
        )
    })
}
